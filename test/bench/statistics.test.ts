import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreement, median, medianRatio, roofline, verdict } from '../../bench/statistics.ts';

const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true });

describe('median', () => {
  it('is the middle value, or the mean of the two in the middle', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
  });

  it('refuses an empty list', () => {
    expect(() => median([])).toThrow(RangeError);
  });

  it('has as many values below it as above, in any order', () => {
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1, maxLength: 20 }), (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
        expect(median([...values].reverse())).toBe(middle);
      }),
    );
  });
});

describe('medianRatio', () => {
  it('compares what was measured together, so that a slow spell of the machine cancels out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ reference: positive, slowdown: positive }), { minLength: 1, maxLength: 9 }),
        positive,
        (runs, factor) => {
          const values = runs.map(({ reference, slowdown }) => (factor * reference) / slowdown);
          const references = runs.map(({ reference, slowdown }) => reference / slowdown);
          expect(medianRatio(values, references) / factor).toBeCloseTo(1, 9);
        },
      ),
    );
  });

  it('is the median of the ratios, not the ratio of the medians', () => {
    expect(medianRatio([30, 20, 40], [10, 20, 80])).toBe(1);
    expect(median([30, 20, 40]) / median([10, 20, 80])).toBe(1.5);
  });

  it('refuses lists of different lengths', () => {
    expect(() => medianRatio([1, 2], [1])).toThrow(RangeError);
  });
});

describe('roofline', () => {
  it('adds up the times that an image takes in either stage', () => {
    expect(roofline(300, 150)).toBeCloseTo(100, 9);
  });

  it('never exceeds the slower stage, and is at least half of it', () => {
    fc.assert(
      fc.property(positive, positive, (decode, compute) => {
        const slower = Math.min(decode, compute);
        const both = roofline(decode, compute);
        expect(both).toBeLessThanOrEqual(slower);
        expect(both).toBeGreaterThanOrEqual((slower / 2) * (1 - 1e-12));
      }),
    );
  });
});

describe('agreement', () => {
  it('counts equal positions', () => {
    expect(agreement([1, 2, 3, 4], [1, 2, 4, 3])).toBe(0.5);
    expect(agreement([1], [1])).toBe(1);
  });

  it('refuses lists that do not belong together', () => {
    expect(() => agreement([1, 2], [1])).toThrow(RangeError);
    expect(() => agreement([], [])).toThrow(RangeError);
  });
});

describe('verdict', () => {
  it('takes the bound itself for met where at least so much is asked, and for missed where less is', () => {
    expect(verdict(0.85, { kind: 'at-least', value: 0.85 })).toBe('met');
    expect(verdict(0.849, { kind: 'at-least', value: 0.85 })).toBe('missed');
    expect(verdict(100, { kind: 'below', value: 100 })).toBe('missed');
    expect(verdict(99.9, { kind: 'below', value: 100 })).toBe('met');
  });

  it('never takes a missing measurement for met', () => {
    expect(verdict(Number.NaN, { kind: 'at-least', value: 0 })).toBe('missed');
    expect(verdict(Number.NaN, { kind: 'below', value: 100 })).toBe('missed');
  });
});
