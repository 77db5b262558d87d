import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Augmentation } from '../../../src/contract/recipe.ts';
import { IDENTITY_COLOUR } from '../../../src/pipeline/augment/colour-transform.ts';
import { centreAugmentation, drawAugmentation } from '../../../src/pipeline/augment/draw-augmentation.ts';
import type { ItemAugmentation } from '../../../src/pipeline/augment/draw-augmentation.ts';
import type { Rectangle, Size } from '../../../src/pipeline/decode/orientation.ts';

const COMPONENTS = {
  eigenvalues: [9000, 800, 200],
  eigenvectors: [
    [2 / 3, 2 / 3, 1 / 3],
    [1 / 3, -2 / 3, 2 / 3],
    [2 / 3, -1 / 3, -2 / 3],
  ],
} as const;

const PAPER: Augmentation = {
  crop: { kind: 'random-crop', resizeTo: 256 },
  horizontalFlip: 0.5,
  rotationDegrees: 0,
  pcaNoise: 0.1,
  brightness: 0,
  contrast: 0,
  saturation: 0,
};
const TORCHVISION: Augmentation = {
  ...PAPER,
  crop: { kind: 'random-resized-crop', area: [0.08, 1], aspectRatio: [3 / 4, 4 / 3] },
};
const INPUT: Size = { width: 227, height: 227 };
const STORED: Size = { width: 341, height: 256 };

function draw(
  item: number,
  { augmentation = PAPER, input = INPUT, stored = STORED, epoch = 1, seed = 1 } = {},
): ItemAugmentation {
  return drawAugmentation(augmentation, input, stored, { seed, epoch, item }, COMPONENTS);
}

const drawMany = (count: number, options: Parameters<typeof draw>[1]): ItemAugmentation[] =>
  Array.from({ length: count }, (_, item) => draw(item, options));

function expectInside(inner: Rectangle, outer: Size): void {
  expect(inner.left).toBeGreaterThanOrEqual(0);
  expect(inner.top).toBeGreaterThanOrEqual(0);
  expect(inner.width).toBeGreaterThan(0);
  expect(inner.height).toBeGreaterThan(0);
  expect(inner.left + inner.width).toBeLessThanOrEqual(outer.width);
  expect(inner.top + inner.height).toBeLessThanOrEqual(outer.height);
  expect(Object.values(inner).every(Number.isInteger)).toBe(true);
}

function momentsOf(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    mean,
    std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length),
  };
}

describe('drawAugmentation', () => {
  it('gives these parameters, whatever the machine', () => {
    expect(draw(123)).toEqual(GOLDEN_PAPER);
    const augmentation = { ...TORCHVISION, rotationDegrees: 10 };
    const { crop, mirrored, rotationDegrees } = draw(4_000_000_000, {
      augmentation,
      epoch: 90,
      seed: 2 ** 52,
    });
    expect({ crop, mirrored, rotationDegrees }).toEqual(GOLDEN_TORCHVISION);
  });

  it('is a pure function of the seed, the epoch and the item, in whatever order they are drawn', () => {
    const forwards = drawMany(20, {});
    const backwards = Array.from({ length: 20 }, (_, index) => draw(19 - index)).reverse();
    expect(backwards).toEqual(forwards);
    expect(draw(5, { epoch: 2 })).not.toEqual(forwards[5]);
    expect(draw(5, { seed: 2 })).not.toEqual(forwards[5]);
  });

  it('stays inside of the image, whatever its size', () => {
    const side = fc.integer({ min: 1, max: 600 });
    const kind = fc.constantFrom(PAPER, TORCHVISION, {
      ...PAPER,
      crop: { kind: 'center-crop' as const, resizeTo: 64 },
    });
    fc.assert(
      fc.property(
        side,
        side,
        side,
        side,
        kind,
        fc.nat(),
        (width, height, inputWidth, inputHeight, augmentation, item) => {
          const input = { width: inputWidth, height: inputHeight };
          const drawn = draw(item, { augmentation, input, stored: { width, height } });
          expect(drawn.stored).toEqual({ width, height });
          expectInside(drawn.crop, drawn.stored);
          expectInside(drawn.window, drawn.resized);
          expect({ width: drawn.window.width, height: drawn.window.height }).toEqual(input);
        },
      ),
    );
  });

  it('keeps the scale of an image whose short side is already right, and takes every place about as often', () => {
    const drawn = drawMany(6000, {});
    expect(drawn.every(({ resized }) => resized.width === 341 && resized.height === 256)).toBe(true);
    const lefts = drawn.map(({ window }) => window.left);
    const tops = drawn.map(({ window }) => window.top);
    expect([Math.min(...lefts), Math.max(...lefts)]).toEqual([0, 341 - 227]);
    expect([Math.min(...tops), Math.max(...tops)]).toEqual([0, 256 - 227]);
    expect(momentsOf(lefts).mean / 114).toBeCloseTo(0.5, 1);
    const counts = new Map<number, number>();
    for (const top of tops) counts.set(top, (counts.get(top) ?? 0) + 1);
    expect(counts.size).toBe(30);
    for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(5 * Math.sqrt(200));
  });

  it('translates a digit: 28 pixels become 72, of which a window of 64 is taken', () => {
    const augmentation: Augmentation = { ...PAPER, crop: { kind: 'random-crop', resizeTo: 72 } };
    const stored = { width: 28, height: 28 };
    const drawn = drawMany(1000, { augmentation, input: { width: 64, height: 64 }, stored });
    expect(drawn[0]?.crop).toEqual({ left: 0, top: 0, ...stored });
    expect(drawn[0]?.resized).toEqual({ width: 72, height: 72 });
    expect(new Set(drawn.map(({ window }) => window.left * 9 + window.top)).size).toBe(81);
  });

  it('enlarges what is smaller than the input', () => {
    const augmentation: Augmentation = { ...PAPER, crop: { kind: 'random-crop', resizeTo: 32 } };
    const { resized, window } = draw(1, { augmentation, input: { width: 64, height: 64 } });
    expect(resized).toEqual({ width: 85, height: 64 });
    expect(window.top).toBe(0);
  });

  it('mirrors as often as it is told', () => {
    for (const [horizontalFlip, expected] of [
      [0, 0],
      [0.3, 0.3],
      [1, 1],
    ] as const) {
      const drawn = drawMany(3000, { augmentation: { ...PAPER, horizontalFlip } });
      const share = drawn.filter(({ mirrored }) => mirrored).length / drawn.length;
      expect(Math.abs(share - expected)).toBeLessThan(expected % 1 === 0 ? 1e-9 : 0.03);
    }
  });

  it('rotates evenly to both sides, and not at all where it is off', () => {
    const angles = drawMany(3000, { augmentation: { ...PAPER, rotationDegrees: 10 } }).map(
      (a) => a.rotationDegrees,
    );
    expect(Math.min(...angles)).toBeLessThan(-9.9);
    expect(Math.max(...angles)).toBeGreaterThan(9.9);
    expect(Math.max(...angles.map(Math.abs))).toBeLessThanOrEqual(10);
    expect(momentsOf(angles).std).toBeCloseTo(10 / Math.sqrt(3), 0);
    expect(Object.is(draw(1).rotationDegrees, 0)).toBe(true);
  });

  it('does not move the crop when other steps are switched on', () => {
    const all = { ...PAPER, rotationDegrees: 10, brightness: 0.4, saturation: 0.4, horizontalFlip: 1 };
    expect(draw(9, { augmentation: all }).window).toEqual(draw(9).window);
  });

  // Moments of 40,000 draws of torchvision's RandomResizedCrop.get_params: share of the area, log aspect ratio, centre.
  it.each([
    {
      stored: { width: 341, height: 256 },
      area: [0.435, 0.218],
      ratio: [0.032, 0.164],
      centre: [0.5, 0.136],
    },
    { stored: { width: 28, height: 28 }, area: [0.492, 0.241], ratio: [-0.002, 0.161], centre: [0.5, 0.117] },
    {
      stored: { width: 1000, height: 100 },
      area: [0.125, 0.016],
      ratio: [0.25, 0.087],
      centre: [0.498, 0.121],
    },
  ] as const)('draws parts of $stored as torchvision does', ({ stored, area, ratio, centre }) => {
    const crops = drawMany(8000, { augmentation: TORCHVISION, stored }).map(({ crop }) => crop);
    const close = (values: readonly number[], [mean, std]: readonly [number, number]): void => {
      const moments = momentsOf(values);
      expect(Math.abs(moments.mean - mean)).toBeLessThan(0.06 * std + 0.001);
      expect(Math.abs(moments.std / std - 1)).toBeLessThan(0.06);
    };
    close(
      crops.map(({ width, height }) => (width * height) / (stored.width * stored.height)),
      area,
    );
    close(
      crops.map(({ width, height }) => Math.log(width / height)),
      ratio,
    );
    close(
      crops.map(({ left, width }) => (left + width / 2) / stored.width),
      centre,
    );
  });

  // What torchvision's fallback gives when no part is found.
  it.each([
    [
      { width: 1000, height: 10 },
      { left: 493, top: 0, width: 13, height: 10 },
    ],
    [
      { width: 10, height: 1000 },
      { left: 0, top: 493, width: 10, height: 13 },
    ],
    [
      { width: 300, height: 300 },
      { left: 0, top: 0, width: 300, height: 300 },
    ],
    [
      { width: 1, height: 1 },
      { left: 0, top: 0, width: 1, height: 1 },
    ],
  ])('takes the centre of %o where no part fits', (stored, crop) => {
    const augmentation: Augmentation = {
      ...PAPER,
      crop: { kind: 'random-resized-crop', area: [2, 2], aspectRatio: [3 / 4, 4 / 3] },
    };
    expect(draw(1, { augmentation, stored }).crop).toEqual(crop);
  });
});

describe('centreAugmentation', () => {
  it('takes the centre of the resized image and changes nothing else', () => {
    expect(centreAugmentation(256, { width: 224, height: 224 }, { width: 500, height: 375 })).toEqual({
      stored: { width: 500, height: 375 },
      crop: { left: 0, top: 0, width: 500, height: 375 },
      resized: { width: 341, height: 256 },
      window: { left: 58, top: 16, width: 224, height: 224 },
      rotationDegrees: 0,
      mirrored: false,
      colour: IDENTITY_COLOUR,
    });
  });

  it('enlarges what is smaller than the input', () => {
    const { resized, window } = centreAugmentation(32, { width: 64, height: 64 }, { width: 28, height: 28 });
    expect(resized).toEqual({ width: 64, height: 64 });
    expect(window).toEqual({ left: 0, top: 0, width: 64, height: 64 });
  });
});

const GOLDEN_PAPER = {
  stored: { width: 341, height: 256 },
  crop: { left: 0, top: 0, width: 341, height: 256 },
  resized: { width: 341, height: 256 },
  window: { left: 22, top: 24, width: 227, height: 227 },
  rotationDegrees: 0,
  mirrored: true,
  colour: {
    matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1],
    greyShift: 0,
    shift: [-0.138580725642288, 0.42872350822028715, -0.3663346402173269],
  },
};
const GOLDEN_TORCHVISION = {
  crop: { left: 53, top: 119, width: 168, height: 127 },
  mirrored: false,
  rotationDegrees: 7.014155681245029,
};
