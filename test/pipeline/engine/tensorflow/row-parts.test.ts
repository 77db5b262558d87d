import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RowParts, type Part } from '../../../../src/pipeline/engine/tensorflow/row-parts.ts';

const OUT_OF_MEMORY = new Error('Invalid TF_Status: 8\nMessage: OOM when allocating tensor');

describe('RowParts', () => {
  it('covers every row once, in order, in parts that fit, however much fits', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 300 }),
        (whole, counts, fits) => {
          const halved: number[] = [];
          const parts = new RowParts(whole, (rows) => halved.push(rows));
          for (const value of counts) {
            const count = 1 + (value % whole);
            const undone: Part[] = [];
            const done = parts.run(
              count,
              (part) => {
                if (part.rows > fits) throw OUT_OF_MEMORY;
                return part;
              },
              (part) => undone.push(part),
            );
            let next = 0;
            for (const { first, rows } of done) {
              expect(first).toBe(next);
              expect(rows).toBeGreaterThan(0);
              expect(rows).toBeLessThanOrEqual(fits);
              next += rows;
            }
            expect(next).toBe(count);
          }
          expect(halved).toEqual(halved.toSorted((a, b) => b - a));
          expect(parts.isWhole).toBe(halved.length === 0);
          // Never smaller than it must be: what was tried before the last halving did not fit.
          for (const rows of halved) expect(2 * rows).toBeGreaterThan(fits);
        },
      ),
    );
  });

  it('gives back what is done again, and goes on with what fits', () => {
    const undone: number[] = [];
    const parts = new RowParts(8, () => {});
    let left = 3;
    const results = parts.run(
      8,
      ({ first, rows }) => {
        if (rows > 4 || left-- === 0) throw OUT_OF_MEMORY;
        return first;
      },
      (first) => undone.push(first),
    );
    expect(results).toEqual([0, 4]);
    // Memory may be gone later as well, in the middle of a batch.
    expect(
      parts.run(
        8,
        ({ first, rows }) => (first >= 4 && rows > 2 ? fail() : first),
        (first) => undone.push(first),
      ),
    ).toEqual([0, 2, 4, 6]);
    expect(undone).toEqual([0]);
  });

  it('gives up on one row, and on other faults at once', () => {
    const tried: number[] = [];
    const parts = new RowParts(4, () => {});
    const work = ({ rows }: Part): never => {
      tried.push(rows);
      return fail();
    };
    expect(() => parts.run(4, work, () => {})).toThrow('OOM');
    expect(tried).toEqual([4, 2, 1]);
    expect(() =>
      new RowParts(4, () => {}).run(
        4,
        () => broken(),
        () => {},
      ),
    ).toThrow('broken');
  });
});

function fail(): never {
  throw OUT_OF_MEMORY;
}

function broken(): never {
  throw new Error('broken');
}
