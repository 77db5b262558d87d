import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImagemillError } from '../../src/contract/errors.ts';
import { type EvaluationReport, type EvaluationRow, EvaluationTally } from '../../src/pipeline/evaluation.ts';

const SIX = ['ant', 'bee', 'cat', 'dog', 'eel', 'fox'];

function evaluate(labels: readonly string[], rows: readonly EvaluationRow[]): EvaluationReport {
  const tally = new EvaluationTally(labels);
  rows.forEach((row) => tally.add(row));
  return tally.report();
}

/** An item of two classes. */
function row(truth: number | null, predicted: 0 | 1, confidence: number): EvaluationRow {
  return { truth, ids: [predicted, 1 - predicted], scores: [confidence, 1 - confidence] };
}

/** Rows of six classes with all ids in some order. */
const anyRow = fc
  .record({
    truth: fc.option(fc.integer({ min: 0, max: 7 })),
    ids: fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }),
    confidence: fc.float({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ truth, ids, confidence }) => ({
    truth,
    ids,
    scores: ids.map((_, rank) => (rank === 0 ? confidence : 0)),
  }));

describe('EvaluationTally', () => {
  it('counts errors, classes and confusions', () => {
    const scores = [0.5, 0.2, 0.1, 0.1, 0.05, 0.05];
    const report = evaluate(SIX, [
      { truth: 0, ids: [0, 1, 2, 3, 4, 5], scores },
      { truth: 0, ids: [1, 0, 2, 3, 4, 5], scores },
      { truth: 1, ids: [1, 0, 2, 3, 4, 5], scores },
      { truth: 2, ids: [0, 1, 3, 4, 2, 5], scores },
      { truth: 3, ids: [0, 1, 2, 4, 5, 3], scores },
    ]);
    expect(report.items).toBe(5);
    expect(report.top1Error).toBe(3 / 5);
    expect(report.top5Error).toBe(1 / 5);
    expect(report.perClass).toEqual([
      { label: 'ant', items: 2, accuracy: 0.5 },
      { label: 'bee', items: 1, accuracy: 1 },
      { label: 'cat', items: 1, accuracy: 0 },
      { label: 'dog', items: 1, accuracy: 0 },
      { label: 'eel', items: 0, accuracy: null },
      { label: 'fox', items: 0, accuracy: null },
    ]);
    expect(report.confusion).toEqual([
      [1, 1, 0, 0, 0, 0],
      [0, 1, 0, 0, 0, 0],
      [1, 0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0],
    ]);
  });

  it('asks for no more than all classes where there are fewer than five', () => {
    const report = evaluate(['no', 'yes'], [row(0, 1, 0.9), row(1, 1, 0.9), row(null, 1, 0.9)]);
    expect(report.top1Error).toBe(2 / 3);
    expect(report.top5Error).toBe(1 / 3);
  });

  it('counts an item of a class that the model does not have as wrong, and in no row of the matrix', () => {
    const report = evaluate(
      ['no', 'yes'],
      [row(null, 0, 0.8), row(2, 1, 0.8), row(-1, 1, 0.8), row(1, 1, 0.8)],
    );
    expect(report).toMatchObject({ items: 4, unknownLabel: 3, top1Error: 0.75, top5Error: 0.75 });
    expect(report.confusion).toEqual([
      [0, 0],
      [0, 1],
    ]);
    expect(report.perClass.map(({ items }) => items)).toEqual([0, 1]);
    expect(report.calibrationError).toBeCloseTo(0.8 - 0.25, 7);
  });

  it('reports nothing as null, not as perfect', () => {
    const report = evaluate(['no', 'yes'], []);
    expect(report).toMatchObject({ items: 0, top1Error: null, top5Error: null, calibrationError: null });
    expect(report.perClass.map(({ accuracy }) => accuracy)).toEqual([null, null]);
    expect(report.calibration).toHaveLength(15);
    expect(report.calibration[14]).toEqual({ count: 0, confidence: null, accuracy: null });
    expect(report.unknownLabel).toBe(0);
  });

  it('goes on counting after a report', () => {
    const tally = new EvaluationTally(['no', 'yes']);
    tally.add(row(0, 0, 1));
    const first = tally.report();
    tally.add(row(1, 0, 1));
    expect(first).toMatchObject({ items: 1, top1Error: 0 });
    expect(first.confusion).toEqual([
      [1, 0],
      [0, 0],
    ]);
    expect(tally.report()).toMatchObject({ items: 2, top1Error: 0.5 });
  });

  it('takes typed arrays, and survives JSON', () => {
    const report = evaluate(
      ['no', 'yes'],
      [{ truth: 1, ids: Int32Array.of(1, 0), scores: Float32Array.of(0.75, 0.25) }],
    );
    expect(report.top1Error).toBe(0);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });

  it('keeps no confusion matrix of very many classes, but everything else', () => {
    const labels = Array.from({ length: 21_841 }, (_, index) => `n${index}`);
    const ids = [20_000, 1, 2, 3, 4];
    const report = evaluate(labels, [{ truth: 20_000, ids, scores: [0.4, 0.1, 0.1, 0.1, 0.1] }]);
    expect(report.confusion).toBeNull();
    expect(report.perClass[20_000]).toEqual({ label: 'n20000', items: 1, accuracy: 1 });
  });

  it.each([
    ['4 ids of 6 classes', [0, 1, 2, 3], [0.4, 0.3, 0.2, 0.1]],
    ['fewer scores than ids', [0, 1, 2, 3, 4], [1]],
    ['an id out of range', [0, 1, 2, 3, 6], [1, 0, 0, 0, 0]],
    ['half an id', [0.5, 1, 2, 3, 4], [1, 0, 0, 0, 0]],
    ['a logit', [0, 1, 2, 3, 4], [7, 0, 0, 0, 0]],
    ['NaN', [0, 1, 2, 3, 4], [Number.NaN, 0, 0, 0, 0]],
  ])('refuses %s, and counts nothing of it', (_, ids, scores) => {
    const tally = new EvaluationTally(SIX);
    expect(() => tally.add({ truth: 0, ids, scores })).toThrow(
      expect.objectContaining({ code: 'CONTRACT_INVALID' }) as ImagemillError,
    );
    expect(tally.report()).toEqual(evaluate(SIX, []));
  });
});

describe('the calibration error', () => {
  it('is the mean gap between confidence and accuracy, by hand', () => {
    // Bin 9, (0.6, 0.667]: four items of 0.625, three right: gap 0.125. Bin 14: one of 0.9375, wrong: gap 0.9375.
    const rows = [row(0, 0, 0.625), row(0, 0, 0.625), row(1, 1, 0.625), row(1, 0, 0.625), row(0, 1, 0.9375)];
    const report = evaluate(['no', 'yes'], rows);
    expect(report.calibrationError).toBe((4 * 0.125 + 0.9375) / 5);
    expect(report.calibration[9]).toEqual({ count: 4, confidence: 0.625, accuracy: 0.75 });
    expect(report.calibration[14]).toEqual({ count: 1, confidence: 0.9375, accuracy: 0 });
    expect(report.calibration.reduce((sum, { count }) => sum + count, 0)).toBe(5);
  });

  it.each([
    [0, 0],
    [1e-9, 0],
    [0.0666, 0],
    [0.0667, 1],
    [0.2, 2],
    [0.2001, 3],
    [0.5, 7],
    [0.6, 8],
    [0.9333, 13],
    [0.9334, 14],
    [1, 14],
    [1.00001, 14],
    [-0.00001, 0],
  ])('puts a confidence of %d into bin %d, whose upper edge is its own', (confidence, bin) => {
    const { calibration } = evaluate(['only'], [{ truth: 0, ids: [0], scores: [confidence] }]);
    expect(calibration.map(({ count }) => count).indexOf(1)).toBe(bin);
  });

  it.each([
    ['right and sure', 0, 1, 0],
    ['wrong and sure', 1, 1, 1],
    ['right and unsure', 0, 0.5, 0.5],
  ])('is for a model that is always %s: %#', (_, truth, confidence, expected) => {
    const rows = Array.from({ length: 100 }, () => row(truth, 0, confidence));
    expect(evaluate(['no', 'yes'], rows).calibrationError).toBe(expected);
  });

  it('agrees with the definition on any rows', () => {
    fc.assert(
      fc.property(fc.array(anyRow, { minLength: 1, maxLength: 60 }), (rows) => {
        let error = 0;
        for (let bin = 0; bin < 15; bin++) {
          const members = rows.filter(
            ({ scores: [score = 0] }) => (score > bin / 15 || bin === 0) && score <= (bin + 1) / 15,
          );
          const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
          if (members.length === 0) continue;
          const accuracy = mean(members.map(({ ids, truth }) => Number(ids[0] === truth)));
          const confidence = mean(members.map(({ scores }) => scores[0] ?? 0));
          error += (members.length / rows.length) * Math.abs(accuracy - confidence);
        }
        expect(evaluate(SIX, rows).calibrationError).toBeCloseTo(error, 6);
      }),
    );
  });
});

describe('a report, whatever the rows', () => {
  it('adds up', () => {
    fc.assert(
      fc.property(fc.array(anyRow, { maxLength: 80 }), (rows) => {
        const report = evaluate(SIX, rows);
        const known = report.perClass.reduce((sum, { items }) => sum + items, 0);
        expect(known + report.unknownLabel).toBe(rows.length);
        expect(report.confusion?.map((row) => row.reduce((a, b) => a + b, 0))).toEqual(
          report.perClass.map(({ items }) => items),
        );
        const right = report.perClass.reduce((sum, { items, accuracy }) => sum + items * (accuracy ?? 0), 0);
        if (rows.length === 0) return;
        expect(report.top1Error).toBeCloseTo(1 - right / rows.length, 12);
        expect(report.top5Error).toBeLessThanOrEqual(report.top1Error ?? 0);
        expect(report.calibrationError).toBeGreaterThanOrEqual(0);
        expect(report.calibrationError).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('does not depend on the order, to the last bit', () => {
    fc.assert(
      fc.property(
        fc
          .array(anyRow, { maxLength: 60 })
          .chain((rows) =>
            fc.tuple(fc.constant(rows), fc.shuffledSubarray(rows, { minLength: rows.length })),
          ),
        ([rows, shuffled]) => {
          expect(evaluate(SIX, shuffled)).toEqual(evaluate(SIX, rows));
        },
      ),
    );
  });
});
