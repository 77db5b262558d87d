import { describe, expect, it } from 'vitest';
import type { ImagemillError } from '../../../src/contract/errors.ts';
import { drawText } from '../../../src/pipeline/charts/bitmap-text.ts';
import { confusionSvg } from '../../../src/pipeline/charts/confusion-matrix.ts';
import { heatColour, heatLevel } from '../../../src/pipeline/charts/heat-scale.ts';
import { boundsOf, draw, type Place } from './support.ts';

const MAX_SVG_BYTES = 12_000_000;

function names(classes: number): string[] {
  return Array.from({ length: classes }, (_, index) => `class ${index}`);
}

function matrix(classes: number, count: (truth: number, predicted: number) => number): number[][] {
  return Array.from({ length: classes }, (_, truth) =>
    Array.from({ length: classes }, (_, predicted) => count(truth, predicted)),
  );
}

const diagonal = (truth: number, predicted: number): number => Number(truth === predicted);

/** For matrices of 1000 pixels. */
function isLeftOfScale({ x }: Place): boolean {
  return x < 1110;
}

/** The glyphs of a number in the middle of a cell. */
function shape(text: string): string {
  const drawn = drawText(text, { x: 0, y: 0, colour: '#000000', anchor: 'middle' });
  return / d="([^"]+)"/.exec(drawn)?.[1] ?? 'nothing drawn';
}

describe('confusionSvg', () => {
  it('colours each cell by its share of its row, truth downwards', async () => {
    const counts = [
      [3, 1],
      [0, 40],
    ];
    const drawing = await draw(confusionSvg({ labels: ['a', 'b'], counts, title: 'two' }));
    const cellPixels = 83 * 83;
    // Less the pixels of the number, and of the scale's bands of the same colour.
    for (const share of [3 / 4, 1 / 4, 1]) {
      const pixels = drawing.find(heatColour(heatLevel(share))).length;
      expect(pixels).toBeGreaterThan(cellPixels - 300);
      expect(pixels).toBeLessThan(cellPixels + 300);
    }
    // Left of the scale.
    const row = (share: number): { top: number; bottom: number } =>
      boundsOf(drawing.find(heatColour(heatLevel(share))).filter(({ x }) => x < 250));
    expect(row(3 / 4).bottom).toBeLessThan(row(1).top);
  });

  it('writes counts into the cells, shortened where they do not fit, none for 0', () => {
    const counts = matrix(12, (truth, predicted) =>
      truth === predicted ? 1_234_567 : predicted === 0 ? 7 : 0,
    );
    const svg = confusionSvg({ labels: names(12), counts, title: '' });
    expect(svg.split(shape('1.2M')).length - 1).toBe(12);
    expect(svg.split(shape('7')).length - 1).toBe(11);
    expect(svg).not.toContain(`d="${shape('0')}"`);
  });

  it('writes no numbers beyond 20 classes', () => {
    const counts = (classes: number): number[][] => matrix(classes, (t, p) => 77 * diagonal(t, p));
    const svg = (classes: number): string =>
      confusionSvg({ labels: names(classes), counts: counts(classes), title: '' });
    expect(svg(20)).toContain(shape('77'));
    expect(svg(21)).not.toContain(shape('77'));
  });

  it.each([1, 20, 21, 111, 112, 1000, 1001])(
    'draws %d classes as a square within a picture of bounded size',
    async (classes) => {
      const svg = confusionSvg({
        labels: names(classes).map((label) => `${label}, a name that is much too long for the margin`),
        counts: matrix(classes, (truth, predicted) => Number((truth + predicted) % 2 === 0)),
        title: `${classes} classes`,
      });
      const drawing = await draw(svg);
      expect(drawing.width).toBeLessThanOrEqual(1400);
      expect(drawing.height).toBeLessThanOrEqual(1400);
      expect(svg.length).toBeLessThan(MAX_SVG_BYTES);
      const { left, top, right, bottom } = drawing.bounds();
      expect(Math.min(left, top)).toBeGreaterThanOrEqual(20);
      expect(right).toBeLessThan(drawing.width - 5);
      expect(bottom).toBeLessThan(drawing.height - 15);
    },
  );

  it('draws the diagonal of 1000 classes pixel by pixel', async () => {
    const drawing = await draw(
      confusionSvg({ labels: names(1000), counts: matrix(1000, diagonal), title: '' }),
    );
    const full = drawing.find(heatColour(heatLevel(1))).filter(isLeftOfScale);
    const { left, top } = boundsOf(full);
    expect(full).toEqual(Array.from({ length: 1000 }, (_, index) => ({ x: left + index, y: top + index })));
  });

  it('adds classes up where several share a pixel', async () => {
    const classes = 2000;
    const drawing = await draw(
      confusionSvg({ labels: names(classes), counts: matrix(classes, diagonal), title: '' }),
    );
    expect(drawing.find(heatColour(heatLevel(1))).filter(isLeftOfScale)).toHaveLength(1000);
  });

  it('is bounded where every row has as many visible cells as it can', () => {
    const counts = matrix(1000, (truth, predicted) => (truth + predicted) % 2);
    expect(confusionSvg({ labels: names(1000), counts, title: '' }).length).toBeLessThan(MAX_SVG_BYTES);
  });

  it('takes rows of a Uint32Array, rows without items and no class at all', () => {
    const rows = [Uint32Array.of(1, 0), Uint32Array.of(0, 0)];
    expect(confusionSvg({ labels: ['a', 'b'], counts: rows, title: '' })).not.toMatch(/NaN|Infinity/);
    expect(confusionSvg({ labels: [], counts: [], title: '' })).not.toMatch(/NaN|Infinity/);
  });

  it.each([
    {
      labels: ['a'],
      counts: [
        [1, 0],
        [0, 1],
      ],
    },
    { labels: ['a', 'b'], counts: [[1, 0], [0]] },
  ])('refuses labels and counts that do not match', ({ labels, counts }) => {
    expect(() => confusionSvg({ labels, counts, title: '' })).toThrow(
      expect.objectContaining({ code: 'MODEL_LABELS_MISMATCH' }) as ImagemillError,
    );
  });
});

describe('the heat scale', () => {
  it('rises with the share, tells any share from none and a whole row from almost one', () => {
    const levels = [0, 1e-9, 0.001, 0.01, 0.1, 0.5, 0.9, 1].map(heatLevel);
    expect(levels).toEqual([0, 1, 2, 4, 11, 23, 31, 32]);
    expect(heatColour(1)).toBe('#deebf7');
    expect(heatColour(32)).toBe('#08306b');
  });

  it('gets darker from level to level', () => {
    const light = Array.from({ length: 33 }, (_, level) => {
      const value = Number.parseInt(heatColour(level).slice(1), 16);
      return (value >> 16) + ((value >> 8) & 0xff) + (value & 0xff);
    });
    expect(light).toEqual([...light].sort((a, b) => b - a));
    expect(new Set(light).size).toBe(33);
  });
});
