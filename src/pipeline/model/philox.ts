/**
 * Philox4x32-10, the counter-based generator of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
 * A pure function of (counter, key): any draw can be made again, in any order, on any machine.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** What a stream of random numbers is for; streams of different purposes never share a counter. */
export const PURPOSE = { initialisation: 1, shuffle: 2, augmentation: 3, dropout: 4 } as const;

export interface PhiloxKey {
  readonly low: number;
  readonly high: number;
}

/**
 * The key of a seed.
 * @param seed integer in 0..2⁵³−1
 * @throws RangeError
 */
export function keyOfSeed(seed: number): PhiloxKey {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`expected a seed between 0 and 2^53 - 1, got ${seed}`);
  }
  return { low: seed >>> 0, high: Math.floor(seed / 0x1_0000_0000) };
}

/**
 * Consecutive blocks of four words: block i has the counter (c0 + i, c1, c2, c3).
 * @param c0..c3 the counter of the first block, as uint32; c0 wraps around
 * @param out (4 × blocks) uint32: receives the blocks
 */
export function philoxBlocks(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  key: PhiloxKey,
  out: Uint32Array,
): void {
  for (let offset = 0; offset < out.length; offset += 4) {
    writeBlock(c0 + offset / 4, c1, c2, c3, key, out, offset);
  }
}

function writeBlock(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  key: PhiloxKey,
  out: Uint32Array,
  offset: number,
): void {
  let k0 = key.low | 0;
  let k1 = key.high | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[offset] = c0;
  out[offset + 1] = c1;
  out[offset + 2] = c2;
  out[offset + 3] = c3;
}

/** Upper 32 bits of a × b (uint32), by halves: every sum below stays under 2³². */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const carry = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}
