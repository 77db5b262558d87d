import { setImmediate } from 'node:timers/promises';

/** Hexadecimal digits that are kept of a digest: 52 bits, which a double holds exactly. */
const KEPT_DIGITS = 13;
/** Digests are sorted by groups, so that the event loop is free between two of them. */
const GROUPS = 256;
const GROUP_DIGITS = 2;
const FIRST_CAPACITY = 64;

/**
 * Finds the digests that occur more than once among many, in 8 to 16 bytes each. Of 52 bits some may agree by chance
 * (one pair among 100 million digests): what is found has to be compared in full.
 */
export class RepeatedDigests {
  readonly #groups = Array.from({ length: GROUPS }, () => ({
    values: new Float64Array(FIRST_CAPACITY),
    count: 0,
  }));

  /** @param digest `sha256:<hex>` */
  add(digest: string): void {
    const hex = hexOf(digest);
    const group = this.#groups[Number.parseInt(hex.slice(0, GROUP_DIGITS), 16)];
    if (group === undefined) throw new RangeError(`expected sha256:<hex>, got ${digest}`);
    if (group.count === group.values.length) {
      const larger = new Float64Array(2 * group.values.length);
      larger.set(group.values);
      group.values = larger;
    }
    group.values[group.count++] = valueOf(hex);
  }

  /** @returns whether a digest seems to have been added more than once */
  async find(): Promise<{ readonly size: number; has(digest: string): boolean }> {
    const repeated = new Set<number>();
    for (const { values, count } of this.#groups) {
      const sorted = values.subarray(0, count).sort();
      for (let index = 1; index < count; index++) {
        const value = sorted[index] ?? 0;
        if (value === sorted[index - 1]) repeated.add(value);
      }
      await setImmediate();
    }
    return { size: repeated.size, has: (digest) => repeated.has(valueOf(hexOf(digest))) };
  }
}

function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(':') + 1);
}

function valueOf(hex: string): number {
  return Number.parseInt(hex.slice(0, KEPT_DIGITS), 16);
}
