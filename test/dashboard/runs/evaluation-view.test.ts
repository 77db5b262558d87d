import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLASSES_SHOWN_MAX, parseEvaluation } from '../../../src/dashboard/runs/evaluation-view.ts';
import { EvaluationTally } from '../../../src/pipeline/evaluation.ts';

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** `evaluation.json` of rows of a true class and the class it was taken for. */
function documentOf(labels: readonly string[], rows: readonly (readonly [truth: number, label: number])[]) {
  const tally = new EvaluationTally(labels);
  const ids = (first: number) =>
    [first, ...labels.keys()].filter((id, place) => place === 0 || id !== first).slice(0, 5);
  for (const [truth, label] of rows) {
    tally.add({ truth, ids: ids(label), scores: ids(label).map((_, rank) => 0.5 / (rank + 1)) });
  }
  return { run: 'r', model: 'm', dataset: 'd', split: 'val', crops: 1, unreadable: 0, ...tally.report() };
}

describe('the view of an evaluation', () => {
  it('puts the worst classes first, those without images last', () => {
    const view = parseEvaluation(
      encode(
        documentOf(
          ['a', 'b', 'c'],
          [
            [0, 0],
            [1, 0],
            [1, 1],
          ],
        ),
      ),
      'x',
    );
    expect(view.perClass.map(({ label }) => label)).toEqual(['b', 'a', 'c']);
    expect(view).toMatchObject({ items: 3, classes: 3, hasPicture: true });
    expect(view.matrix).toEqual({
      labels: ['a', 'b', 'c'],
      counts: [
        [1, 0, 0],
        [1, 1, 0],
        [0, 0, 0],
      ],
    });
    expect(view.confusedPairs).toEqual([{ truth: 'b', label: 'a', images: 1, share: 0.5 }]);
  });

  it('of many classes keeps the pairs that are confused most, and stays small', () => {
    const labels = Array.from({ length: 1_500 }, (_, id) => `class ${id}`);
    const pairs = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(pairs, (rows) => {
        const view = parseEvaluation(encode(documentOf(labels, rows)), 'x');
        expect(view.matrix).toBeNull();
        expect(view.perClass).toHaveLength(CLASSES_SHOWN_MAX);
        const counted = new Map<string, number>();
        for (const [truth, label] of rows) {
          if (truth !== label) counted.set(`${truth} ${label}`, (counted.get(`${truth} ${label}`) ?? 0) + 1);
        }
        const most = [...counted.values()].sort((a, b) => b - a).slice(0, 30);
        expect(view.confusedPairs.map(({ images }) => images)).toEqual(most);
      }),
      { numRuns: 5 },
    );
  });

  it.each([
    ['not JSON', new TextEncoder().encode('{')],
    ['not an object', encode([])],
    ['an error above one', encode({ ...documentOf(['a', 'b'], [[0, 1]]), top1Error: 2 })],
    ['no classes', encode({ ...documentOf(['a', 'b'], [[0, 1]]), perClass: 'many' })],
  ])('refuses %s', (_, bytes) => {
    expect(() => parseEvaluation(bytes, 'evaluation.json')).toThrow(
      expect.objectContaining({
        code: 'CONTRACT_INVALID',
        message: expect.stringContaining('evaluation.json'),
      }),
    );
  });

  it('takes a matrix with holes for one with zeros', () => {
    const damaged = { ...documentOf(['a', 'b'], [[0, 1]]), confusion: [['x', -1, 7], null] };
    expect(parseEvaluation(encode(damaged), 'x').matrix?.counts).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });
});
