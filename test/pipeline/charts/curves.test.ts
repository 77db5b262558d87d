import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { curvesSvg, type EpochPoint } from '../../../src/pipeline/charts/curves.ts';
import { COLOURS } from '../../../src/pipeline/charts/svg.ts';
import { drawText } from '../../../src/pipeline/charts/bitmap-text.ts';
import { draw } from './support.ts';

/** The middle of the picture: loss is to the left of it, error to the right. */
const MIDDLE = 600;

function epochs(count: number, change: Partial<EpochPoint> = {}): EpochPoint[] {
  return Array.from({ length: count }, (_, index) => ({
    epoch: index + 1,
    train: { loss: 6 * Math.exp(-index / 20), top1Error: 0.9 * Math.exp(-index / 25) },
    validation: { loss: 1 + 5 * Math.exp(-index / 20), top1Error: 0.1 + 0.8 * Math.exp(-index / 25) },
    learningRate: 0.01,
    ...change,
  }));
}

function count(svg: string, what: string): number {
  return svg.split(what).length - 1;
}

/** The glyphs of a text in a chart, wherever they stand. */
function shape(text: string, anchor: 'start' | 'middle' = 'start'): string {
  const drawn = drawText(text, { x: 0, y: 0, colour: '#000000', anchor });
  return / d="([^"]+)"/.exec(drawn)?.[1] ?? 'nothing drawn';
}

describe('curvesSvg', () => {
  it('draws both lines in both panels of a picture of 1200 × 480', async () => {
    const drawing = await draw(curvesSvg({ epochs: epochs(90), title: 'a run' }));
    expect([drawing.width, drawing.height]).toEqual([1200, 480]);
    for (const colour of [COLOURS.train, COLOURS.validation]) {
      const columns = [...new Set(drawing.find(colour).map(({ x }) => x))];
      expect(columns.filter((x) => x < MIDDLE).length).toBeGreaterThan(250);
      expect(columns.filter((x) => x >= MIDDLE).length).toBeGreaterThan(250);
    }
    expect(drawing.find(COLOURS.grid).length).toBeGreaterThan(3000);
    expect(drawing.find(COLOURS.text).length).toBeGreaterThan(500);
  });

  it('keeps everything inside the picture, and its margins white', async () => {
    const drawing = await draw(curvesSvg({ epochs: epochs(1000), title: 'W'.repeat(500) }));
    const { left, top, right, bottom } = drawing.bounds();
    expect(left).toBeGreaterThanOrEqual(20);
    expect(top).toBeGreaterThanOrEqual(20);
    expect(right).toBeLessThan(1200 - 20);
    expect(bottom).toBeLessThan(480 - 20);
  });

  it('draws one epoch as points in the middle', async () => {
    const svg = curvesSvg({ epochs: epochs(1), title: 'one' });
    expect(count(svg, '<circle')).toBe(4);
    const xs = Array.from(svg.matchAll(/cx="([\d.]+)"/g), ([, x]) => Number(x));
    expect(new Set(xs).size).toBe(2);
    const drawing = await draw(svg);
    expect(drawing.find(COLOURS.validation).length).toBeGreaterThan(40);
  });

  it('marks points of short runs only', () => {
    expect(count(curvesSvg({ epochs: epochs(3), title: '' }), '<circle')).toBe(12);
    expect(count(curvesSvg({ epochs: epochs(90), title: '' }), '<circle')).toBe(0);
  });

  it('leaves the validation out where there is none, from the legend too', async () => {
    const drawing = await draw(curvesSvg({ epochs: epochs(5, { validation: null }), title: '' }));
    expect(drawing.find(COLOURS.validation)).toEqual([]);
    expect(drawing.find(COLOURS.train).length).toBeGreaterThan(500);
  });

  it('breaks the line where a value is missing or not finite, and draws a point that stands alone', () => {
    const gappy = epochs(60).map((epoch) => {
      if (epoch.epoch === 10) return { ...epoch, validation: null };
      if (epoch.epoch === 12) return { ...epoch, validation: { loss: Number.NaN, top1Error: Number.NaN } };
      return epoch;
    });
    const svg = curvesSvg({ epochs: gappy, title: '' });
    const lines = Array.from(
      svg.matchAll(new RegExp(`stroke="${COLOURS.validation}" stroke-width="2"[^>]* d="([^"]+)"`, 'g')),
      ([, path]) => path ?? '',
    );
    expect(lines.map((path) => path.split('M').length - 1)).toEqual([2, 2]);
    expect(lines.map((path) => path.split('L').length - 1)).toEqual([8 + 47, 8 + 47]);
    expect(count(svg, '<circle')).toBe(2);
  });

  it('names the best epoch of the validation, by its first best error', () => {
    const errors = [0.5, 0.2, 0.0831, 0.0831, 0.3];
    const run = epochs(5).map((epoch, index) => ({
      ...epoch,
      validation: { loss: 1, top1Error: errors[index] ?? 1 },
    }));
    expect(curvesSvg({ epochs: run, title: '' })).toContain(shape('Top-1 error (%): best 8.31 in epoch 3'));
  });

  it('marks where the learning rate fell at once, and not where it glides', () => {
    const steps = epochs(90).map((epoch) => ({
      ...epoch,
      learningRate: 0.01 / 10 ** Math.floor((epoch.epoch - 1) / 30),
    }));
    const stepped = curvesSvg({ epochs: steps, title: '' });
    expect(count(stepped, 'stroke-dasharray')).toBe(4);
    expect(count(stepped, shape('lr 0.001'))).toBe(2);
    const cosine = epochs(90).map((epoch) => ({
      ...epoch,
      learningRate: 0.01 * Math.cos((epoch.epoch / 91) * (Math.PI / 2)),
    }));
    expect(count(curvesSvg({ epochs: cosine, title: '' }), 'stroke-dasharray')).toBe(0);
  });

  it('says that there is no data before the first epoch', () => {
    expect(count(curvesSvg({ epochs: [], title: '' }), shape('no data', 'middle'))).toBe(2);
  });

  it('is a picture whatever the numbers are', () => {
    const metrics = fc.record({ loss: fc.double(), top1Error: fc.double() });
    const point = fc.record({
      train: metrics,
      validation: fc.option(metrics),
      learningRate: fc.double(),
    });
    fc.assert(
      fc.property(fc.array(point, { maxLength: 40 }), fc.string({ unit: 'binary' }), (points, title) => {
        const svg = curvesSvg({
          epochs: points.map((point, index) => ({ epoch: index + 1, ...point })),
          title,
        });
        expect(svg).not.toMatch(/NaN|Infinity|undefined|null/);
        const heights = Array.from(svg.matchAll(/c([xy])="([^"]+)"/g), ([, , value]) => Number(value));
        expect(heights.every((value) => value >= 0 && value <= 1200)).toBe(true);
      }),
    );
  });
});
