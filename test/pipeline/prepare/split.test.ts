import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitOf } from '../../../src/pipeline/prepare/split.ts';
import { sha256 } from '../../../src/storage/digest.ts';

const digestOf = (index: number) => sha256(Buffer.from(`image ${index}`));
const shareOf = (count: number, options: { seed: number; valFraction: number }, first = 0) =>
  Array.from({ length: count }, (_, index) => splitOf(digestOf(first + index), options)).filter(
    (split) => split === 'val',
  ).length / count;

describe('splitOf', () => {
  it('gives validation its share, for any seed, within five standard deviations', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 0.9, noNaN: true }), (seed, valFraction) => {
        const count = 2_000;
        const deviation = Math.sqrt((valFraction * (1 - valFraction)) / count);
        expect(Math.abs(shareOf(count, { seed, valFraction }) - valFraction)).toBeLessThanOrEqual(
          5 * deviation + 1e-9,
        );
      }),
      { numRuns: 20 },
    );
  });

  it('gives every class the same expected share', () => {
    const options = { seed: 3, valFraction: 0.2 };
    for (let first = 0; first < 20_000; first += 4_000) {
      expect(shareOf(4_000, options, first)).toBeCloseTo(0.2, 1);
    }
  });

  it('never moves an image to training when the fraction grows', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat(),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        (seed, index, a, b) => {
          const [smaller, larger] = [Math.min(a, b), Math.max(a, b)];
          const digest = digestOf(index);
          if (splitOf(digest, { seed, valFraction: smaller }) !== 'val') return;
          expect(splitOf(digest, { seed, valFraction: larger })).toBe('val');
        },
      ),
    );
  });

  it('has no validation image at a fraction of 0', () => {
    expect(shareOf(5_000, { seed: 0, valFraction: 0 })).toBe(0);
  });

  it('draws other images with another seed', () => {
    const drawn = (seed: number) =>
      Array.from({ length: 500 }, (_, index) => splitOf(digestOf(index), { seed, valFraction: 0.5 }));
    const other = drawn(1);
    const same = drawn(0).filter((split, index) => split === other[index]).length;
    expect(same).toBeGreaterThan(190);
    expect(same).toBeLessThan(310);
  });

  it('is the split of earlier versions: datasets that are prepared again must not move images', () => {
    const splits = Array.from({ length: 24 }, (_, index) =>
      splitOf(digestOf(index), { seed: 7, valFraction: 0.5 }),
    );
    expect(splits.map((split) => split[0]).join('')).toBe('tvtvvtvttvttvtttvtttvvtv');
  });
});
