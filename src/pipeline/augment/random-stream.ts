import { normalQuantile } from '../model/init.ts';
import { keyOfSeed, philoxBlocks, PURPOSE } from '../model/philox.ts';

/** Which random numbers: the same draw gives the same stream, on every machine and in any order. */
export interface Draw {
  /** 0..2⁵³−1 */
  readonly seed: number;
  /** 0..2³²−1 */
  readonly epoch: number;
  /** Index of the item in its split, 0..2³²−1. */
  readonly item: number;
}

const WORDS_PER_BLOCK = 4;
const TWO_TO_32 = 0x1_0000_0000;

/**
 * Random numbers for one item in one epoch: word i is word i mod 4 of the Philox block with the counter
 * (⌊i/4⌋, item, epoch, purpose). Every method takes exactly one word, and uses only operations that IEEE 754 rounds
 * exactly (+ − × ÷ √), so that the numbers are the same to the last bit everywhere.
 */
export class RandomStream {
  readonly #words = new Uint32Array(WORDS_PER_BLOCK);
  readonly #draw: Draw;
  readonly #purpose: number;
  #taken = 0;

  /** @throws RangeError seed out of range */
  constructor(purpose: keyof typeof PURPOSE, draw: Draw) {
    this.#purpose = PURPOSE[purpose];
    this.#draw = draw;
  }

  /** In [0, 1), a multiple of 2⁻³². */
  uniform(): number {
    return this.#word() / TWO_TO_32;
  }

  /** Uniform in [low, high), or `low` where both are equal. */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** In 0..count−1; no value is likelier than another by more than count × 2⁻³² of its probability. */
  integer(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** Standard normal: the quantile of a uniform number, so at most 6.4 away from 0. */
  normal(): number {
    return normalQuantile((this.#word() + 0.5) / TWO_TO_32);
  }

  /**
   * In [low, high) with a uniform logarithm: low × (high / low)^u. The power is put together from the bits of u and
   * repeated square roots, since the last bit of `Math.exp` and `Math.log` differs between machines.
   * @param low above 0
   */
  logUniform(low: number, high: number): number {
    const word = this.#word();
    let value = low;
    let root = high / low;
    for (let bit = 31; bit >= 0; bit--) {
      root = Math.sqrt(root);
      if (((word >>> bit) & 1) === 1) value *= root;
    }
    return value;
  }

  #word(): number {
    const position = this.#taken % WORDS_PER_BLOCK;
    if (position === 0) {
      const { seed, epoch, item } = this.#draw;
      philoxBlocks(this.#taken / WORDS_PER_BLOCK, item, epoch, this.#purpose, keyOfSeed(seed), this.#words);
    }
    this.#taken += 1;
    return this.#words[position] ?? 0;
  }
}
