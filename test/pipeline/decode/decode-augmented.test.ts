import { describe, expect, it } from 'vitest';
import { centreAugmentation } from '../../../src/pipeline/augment/draw-augmentation.ts';
import { decodeAugmented } from '../../../src/pipeline/decode/decode-augmented.ts';
import { makeJpeg, makePng, makeWebp, truncate } from '../../support/images.ts';
import {
  encodePng,
  FILL,
  geometryOf,
  gradient,
  largestDifference,
  mirror,
  render,
} from './augmented-images.ts';
import { decode, outcomeOf, samePixels, shortSide } from './decoding.ts';

const STORED = { width: 120, height: 90 };
const bytes = await encodePng(gradient(STORED), STORED);
const WINDOW = { left: 17, top: 5, width: 64, height: 48 };

/** Pixel (x, y) of (…, width, 3). */
const at = (pixels: Uint8Array, width: number, x: number, y: number): number[] => [
  ...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
];

describe('crop', () => {
  it('copies the pixels of the window where nothing is scaled', async () => {
    const pixels = await render(bytes, geometryOf(STORED, { window: WINDOW }));
    for (let y = 0; y < WINDOW.height; y++) {
      for (let x = 0; x < WINDOW.width; x++) {
        expect(at(pixels, WINDOW.width, x, y)).toEqual([WINDOW.left + x, WINDOW.top + y, 128]);
      }
    }
  });

  it('cuts a part out before it resizes, so that what lies beside does not show', async () => {
    const pixels = gradient(STORED);
    // A frame of white around the part.
    for (let x = 29; x < 51; x++)
      for (const y of [19, 40]) pixels.fill(255, (y * 120 + x) * 3, (y * 120 + x) * 3 + 3);
    for (let y = 19; y < 41; y++)
      for (const x of [29, 50]) pixels.fill(255, (y * 120 + x) * 3, (y * 120 + x) * 3 + 3);
    const crop = { left: 30, top: 20, width: 20, height: 20 };
    const size = { width: 60, height: 40 };
    const part = await render(
      await encodePng(pixels, STORED),
      geometryOf(STORED, { crop, resized: size, window: { left: 0, top: 0, ...size } }),
    );
    const reds = part.filter((_, index) => index % 3 === 0);
    const greens = part.filter((_, index) => index % 3 === 1);
    expect([Math.min(...reds), Math.max(...reds)]).toEqual([30, 49]);
    expect([Math.min(...greens), Math.max(...greens)]).toEqual([20, 39]);
  });

  it('turns grey into RGB', async () => {
    const grey = gradient(STORED).filter((_, index) => index % 3 === 0);
    const pixels = await render(await encodePng(grey, STORED, 1), geometryOf(STORED, { window: WINDOW }));
    expect(at(pixels, WINDOW.width, 10, 3)).toEqual([27, 27, 27]);
  });

  it.each([
    ['unscaled', { width: 341, height: 256 }, 256, 224],
    ['reduced', { width: 500, height: 375 }, 256, 227],
    ['enlarged', { width: 50, height: 37 }, 64, 64],
    ['enlarged, upright', { width: 28, height: 31 }, 72, 64],
  ])('gives the pixels that a classifier sees, %s', async (_, stored, resizeTo, side) => {
    for (const image of [
      await makeJpeg(stored),
      await makePng(stored),
      await makePng({ ...stored, kind: 'grey' }),
    ]) {
      const geometry = centreAugmentation(resizeTo, { width: side, height: side }, stored);
      const { pixels } = await decode(image, shortSide(resizeTo, side));
      expect(samePixels(await render(image, geometry), pixels)).toBe(true);
    }
  });
});

describe('mirror', () => {
  it.each([
    ['unscaled', STORED],
    ['reduced', { width: 90, height: 68 }],
    ['enlarged', { width: 200, height: 150 }],
    ['stretched', { width: 200, height: 60 }],
  ])('reverses every row of the window, %s', async (_, resized) => {
    const image = await makePng(STORED);
    const window = { left: 11, top: 3, width: 64, height: 48 };
    const upright = await render(image, geometryOf(STORED, { resized, window }));
    const mirrored = await render(image, geometryOf(STORED, { resized, window, mirrored: true }));
    expect(samePixels(upright, mirrored)).toBe(false);
    expect(samePixels(mirrored, mirror(upright, window))).toBe(true);
  });
});

describe('rotation', () => {
  // As numpy.rot90(pixels, k) with k = −1, 2 and 1.
  it.each([
    [90, (x: number, y: number) => [y, 39 - x]],
    [180, (x: number, y: number) => [39 - x, 39 - y]],
    [-90, (x: number, y: number) => [39 - y, x]],
  ])('turns whole pixels by %d degrees', async (rotationDegrees, source) => {
    const window = { left: 30, top: 20, width: 40, height: 40 };
    const pixels = await render(bytes, geometryOf(STORED, { window, rotationDegrees }));
    for (let y = 0; y < 40; y++) {
      for (let x = 0; x < 40; x++) {
        const [fromX = 0, fromY = 0] = source(x, y);
        expect(at(pixels, 40, x, y)).toEqual([30 + fromX, 20 + fromY, 128]);
      }
    }
  });

  it.each([
    [10, false],
    [-10, false],
    [33.3, false],
    [170, false],
    [10, true],
    [-33.3, true],
  ])(
    'turns by %d degrees about the centre of the window, mirrored: %s',
    async (rotationDegrees, mirrored) => {
      const window = { left: 36, top: 24, width: 40, height: 36 };
      const pixels = await render(bytes, geometryOf(STORED, { window, rotationDegrees, mirrored }));
      const [cos, sin] = [
        Math.cos((rotationDegrees * Math.PI) / 180),
        Math.sin((rotationDegrees * Math.PI) / 180),
      ];
      for (let y = 0; y < 36; y += 5) {
        for (let x = 0; x < 40; x += 3) {
          const dx = (mirrored ? 39 - x : x) - 19.5;
          const dy = y - 17.5;
          const [red = Number.NaN, green = Number.NaN] = at(pixels, 40, x, y);
          expect(Math.abs(red - (36 + 19.5 + dx * cos + dy * sin))).toBeLessThan(1.6);
          expect(Math.abs(green - (24 + 17.5 - dx * sin + dy * cos))).toBeLessThan(1.6);
        }
      }
    },
  );

  it('fills what lies outside of the image with the mean pixel', async () => {
    const pixels = await render(bytes, geometryOf(STORED, { rotationDegrees: 45 }));
    for (const [x, y] of [
      [0, 0],
      [119, 0],
      [0, 89],
      [119, 89],
    ] as const)
      expect(at(pixels, 120, x, y)).toEqual([...FILL]);
    expect(at(pixels, 120, 60, 45)[2]).toBe(128);
  });

  it('fills a grey image with the mean colour too', async () => {
    const grey = gradient(STORED).filter((_, index) => index % 3 === 0);
    const pixels = await render(
      await encodePng(grey, STORED, 1),
      geometryOf(STORED, { rotationDegrees: 45 }),
    );
    expect(at(pixels, 120, 0, 0)).toEqual([...FILL]);
    expect(new Set(at(pixels, 120, 60, 45)).size).toBe(1);
  });

  it.each([false, true])(
    'shows what lies beside a crop where the image has it, mirrored: %s',
    async (mirrored) => {
      const crop = { left: 45, top: 30, width: 30, height: 30 };
      const resized = { width: 60, height: 60 };
      const window = { left: 0, top: 0, ...resized };
      const pixels = await render(
        bytes,
        geometryOf(STORED, { crop, resized, window, rotationDegrees: 30, mirrored }),
      );
      expect(pixels.filter((value, index) => index % 3 === 2 && value !== 128)).toHaveLength(0);
      // The centre of the crop, (60, 45), stays in the centre; the corner comes from 21 pixels away.
      expect(Math.abs((at(pixels, 60, 30, 30)[0] ?? 0) - 60)).toBeLessThan(2);
      expect(Math.abs((at(pixels, 60, 30, 30)[1] ?? 0) - 45)).toBeLessThan(2);
      const corner = at(pixels, 60, mirrored ? 59 : 0, 0);
      expect(Math.abs((corner[0] ?? 0) - (60 - 15 * 0.866 - 15 * 0.5))).toBeLessThan(2);
      expect(Math.abs((corner[1] ?? 0) - (45 + 15 * 0.5 - 15 * 0.866))).toBeLessThan(2);
    },
  );

  it('fits every angle and place, also in an image that the window covers', async () => {
    const stored = { width: 30, height: 20 };
    const small = await encodePng(gradient(stored), stored);
    for (let degrees = -180; degrees <= 180; degrees += 7.3) {
      const pixels = await render(small, geometryOf(stored, { rotationDegrees: degrees }));
      expect(Math.abs((at(pixels, 30, 15, 10)[2] ?? 0) - 128)).toBeLessThan(2);
      const window = { left: 40, top: 33, width: 16, height: 25 };
      const options = {
        resized: { width: 85, height: 58 },
        window,
        rotationDegrees: degrees,
        mirrored: degrees > 0,
      };
      expect(await render(small, geometryOf(stored, options))).toHaveLength(16 * 25 * 3);
    }
  });
});

describe('faults', () => {
  const whole = geometryOf(STORED);
  it.each([
    ['IMAGE_EMPTY', async () => new Uint8Array(0)],
    ['IMAGE_FORMAT_UNKNOWN', async () => makeWebp(STORED)],
    ['IMAGE_FORMAT_UNKNOWN', async () => new TextEncoder().encode('<html>')],
    ['IMAGE_TRUNCATED', async () => truncate(await makeJpeg(STORED), 0.6)],
    ['IMAGE_CORRUPT', async () => makePng({ width: 90, height: 120 })],
    ['IMAGE_CORRUPT', async () => makeJpeg({ width: 121, height: 90 })],
  ])('%s', async (code, make) => {
    expect(await outcomeOf(render(await make(), whole))).toBe(code);
  });

  it('says what size was expected', async () => {
    const other = await makePng({ width: 64, height: 48 });
    await expect(render(other, whole)).rejects.toThrow(
      'expected a prepared image of 120×90 pixels, got one of 64×48',
    );
  });

  it('refuses a truncated PNG', async () => {
    const image = await makePng(STORED);
    expect(await outcomeOf(render(truncate(image, 0.6), whole))).toMatch(/^IMAGE_(TRUNCATED|CORRUPT)$/);
  });

  it('refuses a target of another size', async () => {
    const decoding = decodeAugmented(bytes, whole, new Uint8Array(10), { meanPixel: FILL });
    await expect(decoding).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

it('gives the same pixels every time, also when many are decoded at once', async () => {
  const image = await makeJpeg(STORED);
  const geometry = geometryOf(STORED, {
    resized: { width: 100, height: 75 },
    window: WINDOW,
    rotationDegrees: 5,
  });
  const [first = new Uint8Array(), ...others] = await Promise.all(
    Array.from({ length: 12 }, () => render(image, geometry)),
  );
  expect(others.map((other) => largestDifference(first, other))).toEqual(Array<number>(11).fill(0));
});
