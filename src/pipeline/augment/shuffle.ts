import { keyOfSeed, philoxBlocks, PURPOSE } from '../model/philox.ts';

/** Which order: every epoch of every seed has its own. */
export interface ShuffleKey {
  /** 0..2⁵³−1 */
  readonly seed: number;
  /** 0..2³²−1 */
  readonly epoch: number;
}

export interface StepRequest extends ShuffleKey {
  /** Items of the split, 1..2³²−1. */
  readonly items: number;
  readonly batchSize: number;
  /** 0..stepsPerEpoch−1 */
  readonly step: number;
}

/** Four already make a pseudo-random permutation (Luby & Rackoff 1988); two more for domains of a few items. */
const ROUNDS = 6;
const ITEMS_MAX = 0xffff_ffff;

const block = new Uint32Array(4);

/**
 * The item at a position of the shuffled order of `count` items: a bijection of 0..count−1, computed for one position
 * at a time, without a table. A Feistel network over the smallest power of two that holds `count`, with Philox as its
 * round function; what falls outside is sent through again until it falls inside (Black & Rogaway 2002, cycle walking).
 * @throws RangeError count, position or seed out of range
 */
export function permutedIndex(position: number, count: number, { seed, epoch }: ShuffleKey): number {
  checkRange('a number of items', count, 1, ITEMS_MAX);
  checkRange('a position', position, 0, count - 1);
  const key = keyOfSeed(seed);
  const bits = 32 - Math.clz32(count - 1);
  const rightBits = bits >>> 1;
  const leftMask = 2 ** (bits - rightBits) - 1;
  const rightMask = 2 ** rightBits - 1;
  let index = position;
  do {
    let left = index >>> rightBits;
    let right = index & rightMask;
    for (let round = 0; round < ROUNDS; round++) {
      // The halves may differ by a bit, so they take turns instead of changing places.
      const even = round % 2 === 0;
      philoxBlocks(even ? right : left, round, epoch, PURPOSE.shuffle, key, block);
      if (even) left ^= (block[0] ?? 0) & leftMask;
      else right ^= (block[0] ?? 0) & rightMask;
    }
    index = left * 2 ** rightBits + right;
  } while (index >= count);
  return index;
}

/** Whole batches in an epoch: the items left over change from epoch to epoch. */
export function stepsPerEpoch(items: number, batchSize: number): number {
  return Math.floor(items / batchSize);
}

/**
 * The items of one step of one epoch. Over the steps of an epoch no item comes twice.
 * @returns (batchSize) item indices
 * @throws RangeError
 */
export function itemsOfStep({ items, batchSize, step, seed, epoch }: StepRequest): Uint32Array {
  checkRange('a batch', batchSize, 1, items);
  checkRange('a step', step, 0, stepsPerEpoch(items, batchSize) - 1);
  const first = step * batchSize;
  return Uint32Array.from({ length: batchSize }, (_, offset) =>
    permutedIndex(first + offset, items, { seed, epoch }),
  );
}

function checkRange(what: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new RangeError(`expected ${what} between ${low} and ${high}, got ${value}`);
}
