/**
 * A computation with known results: a convolution of one channel, then a matrix product, which on GPUs are two libraries.
 * Small whole numbers: every order of summation and every precision that engines use gives the same.
 */

/** (3, 3): 1 to 9. */
export const IMAGE = [1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
/** (2, 2), stride 1, no padding: gives 37, 47, 67, 77. */
export const FILTER = [1, 2, 3, 4] as const;
/** (2, 2), the right factor. */
export const MATRIX = [1, 2, 3, 4] as const;
/** (2, 2). */
export const EXPECTED = [178, 262, 298, 442] as const;

const NUMBERS_SHOWN = 8;

/** @returns null where the numbers are the expected ones, else what was got in one line */
export function differenceOf(numbers: ArrayLike<number>): string | null {
  const got = Array.from(numbers);
  if (got.length === EXPECTED.length && EXPECTED.every((value, index) => got[index] === value)) return null;
  return `expected ${EXPECTED.join(', ')}, got ${got.slice(0, NUMBERS_SHOWN).join(', ') || 'nothing'}`;
}
