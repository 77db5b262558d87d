import { describe, expect, it } from 'vitest';
import { labelStatisticsSchema, LEAST_CONFIDENT_MAX } from '../../src/contract/label-statistics.ts';
import type { ResultRow } from '../../src/contract/rows.ts';
import { LabelTally } from '../../src/pipeline/label-tally.ts';

function row(score: number, fields: Partial<ResultRow> = {}): ResultRow {
  return {
    uri: 'memory://s/1.jpg',
    digest: 'sha256:00',
    width: 30,
    height: 20,
    ids: [7, 1],
    labels: ['crab', 'shark'],
    scores: [score, 0],
    model: 'sha256:11',
    ...fields,
  };
}

function statisticsOf(rows: readonly ResultRow[]) {
  const tally = new LabelTally();
  for (const [index, row] of rows.entries()) tally.add(index, row);
  return tally.statistics();
}

describe('LabelTally', () => {
  it('counts by the first class', () => {
    const rows = [row(0.9), row(0.8), row(0.7, { ids: [1, 7] })];
    expect(statisticsOf(rows).classes).toEqual({ 1: 1, 7: 2 });
  });

  it.each([
    [0, 0],
    [0.049, 0],
    [0.05, 1],
    [0.5, 10],
    [0.949, 18],
    [0.95, 19],
    [1, 19],
    [1.000001, 19],
    [-0.000001, 0],
  ])('puts a score of %f in bin %i of 20', (score, bin) => {
    const { confidence } = statisticsOf([row(score)]);
    expect(confidence).toHaveLength(20);
    expect(confidence.findIndex((count) => count === 1)).toBe(bin);
  });

  it('lists the least confident images, equal ones in the order of the shard', () => {
    const rows = Array.from({ length: 100 }, (_, index) => row(index < 90 ? 0.5 : 0.25 + (index % 2) / 8));
    const { leastConfident } = statisticsOf(rows);
    expect(leastConfident.map(({ index }) => index)).toEqual([90, 92, 94, 96, 98, 91, 93, 95, 97, 99, 0, 1]);
    expect(leastConfident).toHaveLength(LEAST_CONFIDENT_MAX);
    expect(leastConfident[0]).toEqual({
      index: 90,
      uri: 'memory://s/1.jpg',
      label: 'crab',
      score: 0.25,
      width: 30,
      height: 20,
    });
  });

  it('gives texts and scores as the rows of a part have them, and stays small', () => {
    const uri = `memory://s/${'x'.repeat(1_024)}`;
    const statistics = statisticsOf([
      row(Math.fround(0.1), { uri: 'memory://s/\ud800' }),
      row(0.2, { uri, labels: ['y'.repeat(1_000)] }),
    ]);
    const [first, second] = statistics.leastConfident;
    expect([first?.uri, first?.score]).toEqual(['memory://s/\ufffd', 0.1]);
    expect([second !== undefined && 'uri' in second, second?.label]).toEqual([false, 'y'.repeat(256)]);
    expect(labelStatisticsSchema.parse(statistics)).toEqual(statistics);
  });

  it('has nothing to say of a shard without labels', () => {
    expect(statisticsOf([])).toEqual({ classes: {}, confidence: Array(20).fill(0), leastConfident: [] });
  });
});
