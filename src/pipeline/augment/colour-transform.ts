import type { Augmentation } from '../../contract/recipe.ts';
import type { RandomStream } from './random-stream.ts';

type Vector = readonly [number, number, number];

/**
 * What the graph does to the colours of one image, x being RGB 0..255:
 * `matrix · x + greyShift × mean of grey(x) over the image + shift`, nothing clamped.
 */
export interface ColourTransform {
  /** 3 × 3, row-major: row i gives output channel i. */
  readonly matrix: readonly number[];
  readonly greyShift: number;
  readonly shift: Vector;
}

/** Of the covariance of RGB 0..255 over the training pixels, as `dataset.json` has them: row i belongs to eigenvalue i. */
export interface PrincipalComponents {
  readonly eigenvalues: Vector;
  readonly eigenvectors: readonly [Vector, Vector, Vector];
}

/** Luma of ITU-R BT.601, as torchvision's rgb_to_grayscale and Pillow's "L": grey(x) = 0.299 r + 0.587 g + 0.114 b. */
export const GREY_WEIGHTS: Vector = [0.299, 0.587, 0.114];

const PIXEL_MAX = 255;

export const IDENTITY_COLOUR: ColourTransform = {
  matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  greyShift: 0,
  shift: [0, 0, 0],
};

/**
 * Takes six numbers from the stream, also where a strength is 0: one strength does not move another's draws.
 *
 * PCA noise adds Σ pᵢ αᵢ λᵢ, αᵢ ~ N(0, pcaNoise), to every pixel (Krizhevsky et al. 2012, §4.1). λ has the unit of a
 * pixel squared, so its meaning hangs on the scale of the pixels; the paper does not say which, and on 0..255 the noise
 * would be thousands of levels. Implementations that reproduce its results (fb.resnet.torch, `Lighting(0.1)`) take
 * pixels from 0 to 1, where λ/255² is the eigenvalue. In levels that is 255 · Σ pᵢ αᵢ λᵢ/255² = Σ pᵢ αᵢ λᵢ/255.
 */
export function drawColour(
  { brightness, contrast, saturation, pcaNoise }: Augmentation,
  { eigenvalues, eigenvectors }: PrincipalComponents,
  random: RandomStream,
): ColourTransform {
  const factor = (strength: number): number => random.between(1 - strength, 1 + strength);
  const jitter = jitterColour(factor(brightness), factor(contrast), factor(saturation));
  const shift: [number, number, number] = [0, 0, 0];
  for (const [component, eigenvalue] of eigenvalues.entries()) {
    const amount = pcaNoise * random.normal() * (eigenvalue / PIXEL_MAX);
    for (const channel of [0, 1, 2] as const) {
      shift[channel] += amount * (eigenvectors[component]?.[channel] ?? 0);
    }
  }
  return { ...jitter, shift };
}

/**
 * Brightness, then contrast, then saturation, as torchvision's ColorJitter blends them, but always in this order and
 * without clamping in between, which makes them one affine map.
 */
export function jitterColour(brightness: number, contrast: number, saturation: number): ColourTransform {
  const gain = contrast * brightness;
  const matrix = [0, 1, 2].flatMap((row) =>
    GREY_WEIGHTS.map(
      (weight, column) => gain * ((row === column ? saturation : 0) + (1 - saturation) * weight),
    ),
  );
  return { matrix, greyShift: (1 - contrast) * brightness, shift: [0, 0, 0] };
}
