import type { ColourTransform } from '../../../src/pipeline/augment/colour-transform.ts';

/** What the graph computes, in plain loops. @param pixels (pixels, 3), RGB 0..255 @returns the same, not clamped */
export function applyColour(
  pixels: ArrayLike<number>,
  { matrix, greyShift, shift }: ColourTransform,
): number[] {
  const at = (index: number): number => pixels[index] ?? Number.NaN;
  let grey = 0;
  for (let pixel = 0; pixel < pixels.length; pixel += 3) {
    grey += 0.299 * at(pixel) + 0.587 * at(pixel + 1) + 0.114 * at(pixel + 2);
  }
  const mean = grey / (pixels.length / 3);
  return Array.from({ length: pixels.length }, (_, index) => {
    const row = index % 3;
    const pixel = index - row;
    const mixed = [0, 1, 2].reduce(
      (sum, column) => sum + (matrix[row * 3 + column] ?? Number.NaN) * at(pixel + column),
      0,
    );
    return mixed + greyShift * mean + (shift[row] ?? Number.NaN);
  });
}
