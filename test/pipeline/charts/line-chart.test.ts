import { describe, expect, it } from 'vitest';
import { textWidth } from '../../../src/pipeline/charts/bitmap-text.ts';
import { drawPanel } from '../../../src/pipeline/charts/line-chart.ts';
import { svgDocument } from '../../../src/pipeline/charts/svg.ts';
import { draw } from './support.ts';

const INK = '#cc0000';

function panel(points: readonly { x: number; y: number | null }[]): string {
  const box = { x: 0, y: 0, width: 400, height: 300 };
  const series = [{ name: 'one', colour: INK, points }];
  return drawPanel({ ...box, title: 'Title', xLabel: 'x', series });
}

/** Centres of the circles, left to right. */
function centres(svg: string): { x: number; y: number }[] {
  return Array.from(svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g), ([, x, y]) => ({
    x: Number(x),
    y: Number(y),
  }));
}

describe('drawPanel', () => {
  it('maps values to pixels linearly, higher values further up', () => {
    const [a, b, c] = centres(
      panel([
        { x: 0, y: 0 },
        { x: 5, y: 5 },
        { x: 10, y: 10 },
      ]),
    );
    const right = 400 - textWidth('10') / 2;
    expect(c?.x).toBe(right);
    expect(a?.y).toBe(248);
    expect(c?.y).toBe(62);
    expect(b).toEqual({ x: ((a?.x ?? 0) + right) / 2, y: (248 + 62) / 2 });
  });

  it('starts at zero, and below it where values are negative', () => {
    const positive = centres(
      panel([
        { x: 0, y: 90 },
        { x: 1, y: 100 },
      ]),
    );
    expect(positive[0]?.y).toBeCloseTo(62 + 0.1 * (248 - 62));
    const negative = centres(
      panel([
        { x: 0, y: -4 },
        { x: 1, y: 4 },
      ]),
    );
    expect(negative.map(({ y }) => y)).toEqual([248, 62]);
  });

  it('draws a line in the colour of its series through its points', async () => {
    const points = [
      { x: 0, y: 1 },
      { x: 1, y: 1 },
    ];
    const svg = panel(points);
    const [from, to] = centres(svg);
    const drawing = await draw(svgDocument(400, 300, [svg]));
    expect(drawing.at(Math.round(((from?.x ?? 0) + (to?.x ?? 0)) / 2), Math.round(from?.y ?? 0))).toBe(INK);
  });
});
