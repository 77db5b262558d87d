import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONFIDENCE_BINS,
  keepLeastConfident,
  labelStatisticsSchema,
  LabelStatisticsSum,
  LEAST_CONFIDENT_MAX,
  ledgerLabelStatisticsSchema,
  mergeLabelStatistics,
  placeItems,
  type LeastConfidentItem,
  type LedgerLabelStatistics,
} from '../../src/contract/label-statistics.ts';

type Ledger = LedgerLabelStatistics;

/** Few scores, so that many are equal. */
const score = fc.integer({ min: 0, max: 4 }).map((quarters) => quarters / 4);

/** Statistics of a shard of up to thirty images. */
const ofShard = (shard: number): fc.Arbitrary<Ledger> =>
  fc
    .array(fc.record({ id: fc.integer({ min: 0, max: 12 }), score }), { maxLength: 30 })
    .map((images): Ledger => {
      const confidence = Array<number>(CONFIDENCE_BINS).fill(0);
      const classes: Record<string, number> = {};
      const leastConfident: LeastConfidentItem[] = [];
      for (const [index, { id, score }] of images.entries()) {
        classes[id] = (classes[id] ?? 0) + 1;
        const bin = Math.min(CONFIDENCE_BINS - 1, Math.floor(score * CONFIDENCE_BINS));
        confidence[bin] = (confidence[bin] ?? 0) + 1;
        keepLeastConfident(leastConfident, { index, label: String(id), score, width: 1, height: 1 });
      }
      return placeItems({ classes, confidence, leastConfident }, { shard });
    });

const shards = fc
  .integer({ min: 1, max: 8 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, shard) => ofShard(shard))));

describe('mergeLabelStatistics', () => {
  it('is commutative and associative', () => {
    fc.assert(
      fc.property(ofShard(0), ofShard(1), ofShard(2), (a, b, c) => {
        const ab = mergeLabelStatistics(a, b);
        expect(JSON.stringify(mergeLabelStatistics(b, a))).toBe(JSON.stringify(ab));
        expect(JSON.stringify(mergeLabelStatistics(a, mergeLabelStatistics(b, c)))).toBe(
          JSON.stringify(mergeLabelStatistics(ab, c)),
        );
      }),
    );
  });

  it('has nothing as its neutral element', () => {
    const nothing = new LabelStatisticsSum<Ledger['leastConfident'][number]>().statistics();
    expect(ledgerLabelStatisticsSchema.parse(nothing)).toEqual(nothing);
    fc.assert(
      fc.property(ofShard(3), (a) => {
        expect(mergeLabelStatistics(a, nothing)).toEqual(a);
      }),
    );
  });
});

describe('LabelStatisticsSum', () => {
  it('counts every image once, and lists those that are the least confident of all', () => {
    fc.assert(
      fc.property(shards, (shards) => {
        const sum = new LabelStatisticsSum<Ledger['leastConfident'][number]>();
        for (const shard of shards) sum.add(shard);
        const total = sum.statistics();
        const images = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);
        expect(images(Object.values(total.classes))).toBe(images(total.confidence));
        expect(images(total.confidence)).toBe(images(shards.flatMap(({ confidence }) => confidence)));
        const all = shards
          .flatMap(({ leastConfident }) => leastConfident)
          .toSorted((a, b) => a.score - b.score || a.shard - b.shard || a.index - b.index);
        expect(total.leastConfident).toEqual(all.slice(0, LEAST_CONFIDENT_MAX));
        expect(ledgerLabelStatisticsSchema.parse(total)).toEqual(total);
      }),
    );
  });
});

describe('labelStatisticsSchema', () => {
  const valid = { classes: { 3: 1 }, confidence: Array<number>(CONFIDENCE_BINS).fill(0), leastConfident: [] };
  const item = { index: 0, uri: 'u', label: 'cat', score: 0.5, width: 1, height: 1 };

  it('accepts what a tally gives', () => {
    expect(labelStatisticsSchema.parse(valid)).toEqual(valid);
  });

  it.each([
    [
      'more items than are kept',
      { ...valid, leastConfident: Array.from({ length: LEAST_CONFIDENT_MAX + 1 }, () => item) },
    ],
    ['another number of bins', { ...valid, confidence: [0] }],
    ['a class that is no index', { ...valid, classes: { cat: 1 } }],
    ['a long uri', { ...valid, leastConfident: [{ ...item, uri: 'u'.repeat(1_025) }] }],
    ['a long label', { ...valid, leastConfident: [{ ...item, label: 'u'.repeat(257) }] }],
  ])('refuses %s', (_what, value) => {
    expect(labelStatisticsSchema.safeParse(value).success).toBe(false);
  });
});
