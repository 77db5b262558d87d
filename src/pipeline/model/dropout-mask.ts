import { PURPOSE, keyOfSeed, philoxBlocks } from './philox.ts';

/** Values per random word: each takes 16 of its 32 bits. */
const VALUES_PER_WORD = 2;
const WORDS_PER_DRAW = 4_096;
const LEVELS = 65_536;

export interface MaskPosition {
  readonly seed: number;
  readonly epoch: number;
  /** Number of the micro-batch in the epoch. */
  readonly batch: number;
  /** Number of the dropout layer in the network. */
  readonly layer: number;
}

/** Which stream of the generator a mask is made of, for devices that draw it themselves. */
export interface MaskStream {
  /** (2) uint32, the lower word first. */
  readonly key: Uint32Array;
  /** (4) uint32: the counter of the first block; block i has its first word i higher. */
  readonly counter: Uint32Array;
  /** Halves of words, the lower one first, that are below this are dropped. */
  readonly threshold: number;
  /** What is kept is multiplied by this. */
  readonly kept: number;
}

export function maskStream(probability: number, position: MaskPosition): MaskStream {
  const { seed, epoch, batch, layer } = position;
  const { low, high } = keyOfSeed(seed);
  return {
    key: Uint32Array.of(low, high),
    counter: Uint32Array.of(0, batch, epoch, PURPOSE.dropout + layer * 256),
    threshold: Math.round(probability * LEVELS),
    kept: 1 / (1 - probability),
  };
}

/**
 * Fills a dropout mask: 0 with the given probability, else 1/(1 − probability). A pure function of the position, so
 * that a step can be done again. The probability is rounded to a multiple of 2⁻¹⁶.
 * @param mask (rows × size) float32: receives the mask
 */
export function fillDropoutMask(mask: Float32Array, probability: number, position: MaskPosition): void {
  const { counter, threshold, kept } = maskStream(probability, position);
  const [, batch = 0, epoch = 0, purpose = 0] = counter;
  const key = keyOfSeed(position.seed);
  const words = new Uint32Array(WORDS_PER_DRAW);
  const halves = new Uint16Array(words.buffer);
  for (let start = 0; start < mask.length; start += halves.length) {
    philoxBlocks(start / (4 * VALUES_PER_WORD), batch, epoch, purpose, key, words);
    const count = Math.min(halves.length, mask.length - start);
    for (let index = 0; index < count; index++) {
      mask[start + index] = (halves[index] ?? 0) < threshold ? 0 : kept;
    }
  }
}
