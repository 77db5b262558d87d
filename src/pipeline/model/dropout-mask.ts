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

/**
 * Fills a dropout mask: 0 with the given probability, else 1/(1 − probability). A pure function of the position, so
 * that a step can be done again. The probability is rounded to a multiple of 2⁻¹⁶.
 * @param mask (rows × size) float32: receives the mask
 */
export function fillDropoutMask(mask: Float32Array, probability: number, position: MaskPosition): void {
  const { seed, epoch, batch, layer } = position;
  const key = keyOfSeed(seed);
  const threshold = Math.round(probability * LEVELS);
  const kept = 1 / (1 - probability);
  const words = new Uint32Array(WORDS_PER_DRAW);
  const halves = new Uint16Array(words.buffer);
  const purpose = PURPOSE.dropout + layer * 256;
  for (let start = 0; start < mask.length; start += halves.length) {
    philoxBlocks(start / (4 * VALUES_PER_WORD), batch, epoch, purpose, key, words);
    const count = Math.min(halves.length, mask.length - start);
    for (let index = 0; index < count; index++) {
      mask[start + index] = (halves[index] ?? 0) < threshold ? 0 : kept;
    }
  }
}
