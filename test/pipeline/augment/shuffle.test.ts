import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { itemsOfStep, permutedIndex, stepsPerEpoch } from '../../../src/pipeline/augment/shuffle.ts';

const order = (count: number, seed: number, epoch: number): number[] =>
  Array.from({ length: count }, (_, position) => permutedIndex(position, count, { seed, epoch }));

describe('permutedIndex', () => {
  it('is a bijection, whatever the number of items', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 700 }), fc.nat(), fc.nat(1000), (count, seed, epoch) => {
        expect(order(count, seed, epoch).sort((a, b) => a - b)).toEqual(
          Array.from({ length: count }, (_, item) => item),
        );
      }),
    );
  });

  it('gives this order, whatever the machine', () => {
    expect(order(12, 5, 1)).toEqual(GOLDEN_ORDER);
    expect(permutedIndex(1_000_000, 1_281_167, { seed: 5, epoch: 1 })).toBe(GOLDEN_LARGE);
  });

  it('has another order in every epoch and for every seed', () => {
    const [first, epoch, seed, high] = [
      order(1000, 1, 1),
      order(1000, 1, 2),
      order(1000, 2, 1),
      order(1000, 1 + 2 ** 40, 1),
    ];
    for (const other of [epoch, seed, high]) {
      const same = other.filter((item, position) => item === first[position]);
      expect(same.length).toBeLessThan(10);
    }
  });

  it('sends an item to every position about as often', () => {
    const epochs = 4000;
    for (const count of [3, 8, 10]) {
      const visits = Array<number>(count).fill(0);
      for (let epoch = 0; epoch < epochs; epoch++) {
        const item = permutedIndex(1, count, { seed: 9, epoch });
        visits[item] = (visits[item] ?? Number.NaN) + 1;
      }
      const expected = epochs / count;
      for (const count of visits) expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected));
    }
  });

  it('does not keep neighbours together', () => {
    const shuffled = order(10_000, 3, 1);
    const adjacent = shuffled.filter((item, index) => Math.abs(item - (shuffled[index + 1] ?? -9)) === 1);
    expect(adjacent.length).toBeLessThan(12);
  });

  it('reaches all of the largest split', () => {
    const item = permutedIndex(0xffff_fffe, 0xffff_ffff, { seed: 0, epoch: 0 });
    expect(item).toBeGreaterThanOrEqual(0);
    expect(item).toBeLessThan(0xffff_ffff);
  });

  it.each([
    [0, 0],
    [-1, 5],
    [5, 5],
    [0.5, 5],
    [0, 2 ** 32],
  ])('refuses position %d of %d', (position, count) => {
    expect(() => permutedIndex(position, count, { seed: 0, epoch: 0 })).toThrow(RangeError);
  });
});

describe('itemsOfStep', () => {
  it('goes through an epoch without taking an item twice, and leaves out less than a batch', () => {
    const [items, batchSize] = [103, 10];
    const steps = stepsPerEpoch(items, batchSize);
    expect(steps).toBe(10);
    const all = Array.from({ length: steps }, (_, step) => [
      ...itemsOfStep({ items, batchSize, epoch: 2, step, seed: 1 }),
    ]).flat();
    expect(all).toEqual(order(items, 1, 2).slice(0, 100));
    expect(new Set(all).size).toBe(100);
  });

  it.each([
    { batchSize: 11, step: 0, what: 'a batch larger than the split' },
    { batchSize: 0, step: 0, what: 'an empty batch' },
    { batchSize: 5, step: 2, what: 'a step beyond the epoch' },
  ])('refuses $what', ({ batchSize, step }) => {
    expect(() => itemsOfStep({ items: 10, batchSize, epoch: 1, step, seed: 0 })).toThrow(RangeError);
  });
});

const GOLDEN_ORDER = [10, 11, 1, 7, 5, 3, 6, 8, 2, 4, 9, 0];
const GOLDEN_LARGE = 865551;
