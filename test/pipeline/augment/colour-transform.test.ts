import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Augmentation } from '../../../src/contract/recipe.ts';
import { drawColour, IDENTITY_COLOUR, jitterColour } from '../../../src/pipeline/augment/colour-transform.ts';
import type { ColourTransform } from '../../../src/pipeline/augment/colour-transform.ts';
import { RandomStream } from '../../../src/pipeline/augment/random-stream.ts';
import { applyColour } from './apply-colour.ts';

const PLAIN: Augmentation = {
  crop: { kind: 'center-crop', resizeTo: 64 },
  horizontalFlip: 0,
  rotationDegrees: 0,
  pcaNoise: 0,
  brightness: 0,
  contrast: 0,
  saturation: 0,
};

/** Orthonormal rows; ImageNet's eigenvalues on pixels 0..1 (fb.resnet.torch, datasets/transforms.lua) for 0..255. */
const COMPONENTS = {
  eigenvalues: [0.2175 * 255 ** 2, 0.0188 * 255 ** 2, 0.0045 * 255 ** 2],
  eigenvectors: [
    [2 / 3, 2 / 3, 1 / 3],
    [1 / 3, -2 / 3, 2 / 3],
    [2 / 3, -1 / 3, -2 / 3],
  ],
} as const;

const PIXELS = [10, 200, 30, 250, 0, 128, 90, 90, 90, 5, 60, 255];

function draw(augmentation: Partial<Augmentation>, item: number): ColourTransform {
  const random = new RandomStream('augmentation', { seed: 1, epoch: 1, item });
  return drawColour({ ...PLAIN, ...augmentation }, COMPONENTS, random);
}

/** torchvision/transforms/_functional_tensor.py, adjust_brightness, adjust_contrast and adjust_saturation, unclamped. */
function jitterStepByStep(pixels: readonly number[], b: number, c: number, s: number): number[] {
  const grey = (list: readonly number[], index: number): number => {
    const [r = 0, g = 0, b = 0] = list.slice(index - (index % 3), index - (index % 3) + 3);
    return 0.299 * r + 0.587 * g + 0.114 * b;
  };
  const brightened = pixels.map((value) => value * b);
  const mean = brightened.reduce((sum, _, index) => sum + grey(brightened, index), 0) / brightened.length;
  const contrasted = brightened.map((value) => c * value + (1 - c) * mean);
  return contrasted.map((value, index) => s * value + (1 - s) * grey(contrasted, index));
}

describe('jitterColour', () => {
  it('is brightness, contrast and saturation one after the other', () => {
    const factor = fc.double({ min: 0, max: 2, noNaN: true });
    fc.assert(
      fc.property(factor, factor, factor, (b, c, s) => {
        const expected = jitterStepByStep(PIXELS, b, c, s);
        applyColour(PIXELS, jitterColour(b, c, s)).forEach((value, index) => {
          expect(value).toBeCloseTo(expected[index] ?? Number.NaN, 9);
        });
      }),
    );
  });

  it('keeps the pixels where every factor is 1', () => {
    expect(jitterColour(1, 1, 1)).toEqual(IDENTITY_COLOUR);
    expect(applyColour(PIXELS, IDENTITY_COLOUR)).toEqual(PIXELS);
  });
});

describe('drawColour', () => {
  it('gives this transform, whatever the machine', () => {
    const colour = draw({ pcaNoise: 0.1, brightness: 0.4, contrast: 0.4, saturation: 0.4 }, 17);
    expect(colour).toEqual(GOLDEN);
  });

  it('changes nothing where every strength is 0', () => {
    const { matrix, greyShift, shift } = draw({}, 3);
    expect(matrix).toEqual(IDENTITY_COLOUR.matrix);
    expect(greyShift).toBe(0);
    expect(shift.map(Math.abs)).toEqual([0, 0, 0]);
  });

  it('leaves the other draws where they are when one strength changes', () => {
    const { shift } = draw({ pcaNoise: 0.1 }, 5);
    expect(draw({ pcaNoise: 0.1, contrast: 0.3, saturation: 0.2 }, 5).shift).toEqual(shift);
  });

  it('draws factors between 1 − x and 1 + x, evenly', () => {
    const factors = Array.from(
      { length: 4000 },
      (_, item) => draw({ brightness: 0.4 }, item).matrix[0] ?? Number.NaN,
    );
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(0.6);
    expect(Math.min(...factors)).toBeLessThan(0.605);
    expect(Math.max(...factors)).toBeLessThan(1.4);
    expect(Math.max(...factors)).toBeGreaterThan(1.395);
    expect(factors.reduce((sum, value) => sum + value, 0) / factors.length).toBeCloseTo(1, 1);
  });

  it('shifts along the principal components, in proportion to their eigenvalues', () => {
    const shifts = Array.from({ length: 4000 }, (_, item) => draw({ pcaNoise: 0.1 }, item).shift);
    COMPONENTS.eigenvectors.forEach((vector, component) => {
      const along = shifts.map((shift) =>
        vector.reduce((sum, part, channel) => sum + part * (shift[channel] ?? 0), 0),
      );
      const std = Math.sqrt(along.reduce((sum, value) => sum + value * value, 0) / along.length);
      // On pixels 0..1 the published implementations add N(0, 0.1) × eigenvalue; 255 times that on 0..255.
      const published = 255 * 0.1 * ([0.2175, 0.0188, 0.0045][component] ?? Number.NaN);
      expect(std / published).toBeCloseTo(1, 1);
    });
  });
});

const GOLDEN = {
  matrix: [
    0.6226743995154697, -0.06254385380016014, -0.012146506530184424, -0.03185794256601002, 0.5919884882813196,
    -0.012146506530184424, -0.03185794256601002, -0.06254385380016014, 0.6423858355512952,
  ],
  greyShift: 0.20128701649836842,
  shift: [-3.055350091406593, -3.1004641180768835, -1.7501911582973344],
};
