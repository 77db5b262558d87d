import { isOutOfMemory } from './errors.ts';

/** Rows of a batch that go through the device at a time. */
export interface Part {
  readonly first: number;
  readonly rows: number;
}

/**
 * Takes a batch through the device: whole, and in parts of half as many rows, from then on, whenever the device's memory
 * does not suffice.
 */
export class RowParts {
  readonly #whole: number;
  readonly #onHalved: (rows: number) => void;
  #rows: number;

  /**
   * @param whole rows of a batch at most
   * @param onHalved hears how many rows go through at a time from now on
   */
  constructor(whole: number, onHalved: (rows: number) => void) {
    this.#whole = whole;
    this.#rows = whole;
    this.#onHalved = onHalved;
  }

  get isWhole(): boolean {
    return this.#rows === this.#whole;
  }

  /**
   * Does all parts of `count` rows, or none: what a part gives is the same up to rounding, however many there are.
   * @param undo receives the results of parts that are done again
   * @throws what `work` throws, also that one row is too many
   */
  run<R>(count: number, work: (part: Part) => R, undo: (result: R) => void): R[] {
    for (;;) {
      const results: R[] = [];
      try {
        for (let first = 0; first < count; first += this.#rows) {
          results.push(work({ first, rows: Math.min(this.#rows, count - first) }));
        }
        return results;
      } catch (error) {
        results.forEach(undo);
        const rows = Math.min(this.#rows, count);
        if (!isOutOfMemory(error) || rows === 1) throw error;
        this.#rows = Math.ceil(rows / 2);
        this.#onHalved(this.#rows);
      }
    }
  }
}
