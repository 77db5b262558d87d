import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PixelGeometry } from '../../../src/pipeline/decode/pixel-geometry.ts';
import { Semaphore } from '../../../src/pipeline/batch/semaphore.ts';
import { enlargeSmall, isEnlargement } from '../../../src/pipeline/decode/enlarge-small.ts';
import type { SmallImage } from '../../../src/pipeline/decode/enlarge-small.ts';
import { readSmallPng } from '../../../src/pipeline/decode/small-png.ts';
import { makePixels, makePng } from '../../support/images.ts';
import { encodePng, geometryOf, gradient, largestDifference, mirror, render } from './augmented-images.ts';
import { samePixels } from './decoding.ts';

const DIGIT = { width: 28, height: 28 };
const TRANSLATED = { resized: { width: 72, height: 72 }, window: { left: 3, top: 5, width: 64, height: 64 } };

function prepare(bytes: Uint8Array, geometry: PixelGeometry): SmallImage {
  const image = readSmallPng(bytes);
  if (image === undefined) throw new Error('expected a small PNG');
  const target = new Uint8Array(geometry.window.width * geometry.window.height * 3).fill(0xa5);
  return { image, geometry, target };
}

async function enlarge(bytes: Uint8Array, geometry: PixelGeometry): Promise<Uint8Array> {
  const small = prepare(bytes, geometry);
  await enlargeSmall([small], new Semaphore(1));
  return small.target;
}

describe('enlargeSmall', () => {
  it.each([
    ['a translated digit', DIGIT, TRANSLATED],
    ['the first corner', DIGIT, { ...TRANSLATED, window: { left: 0, top: 0, width: 64, height: 64 } }],
    ['the last corner', DIGIT, { ...TRANSLATED, window: { left: 8, top: 8, width: 64, height: 64 } }],
    [
      'a size without a common divisor',
      { width: 27, height: 31 },
      {
        resized: { width: 64, height: 73 },
        window: { left: 0, top: 4, width: 64, height: 64 },
      },
    ],
    [
      'one pixel',
      { width: 1, height: 1 },
      {
        resized: { width: 5, height: 5 },
        window: { left: 0, top: 0, width: 5, height: 5 },
      },
    ],
  ])('gives the pixels of one pipeline per image, to within a level: %s', async (_, stored, changes) => {
    for (const kind of ['rgb', 'grey'] as const) {
      for (const mirrored of [false, true]) {
        const bytes = await makePng({ ...stored, kind });
        const geometry = geometryOf(stored, { ...changes, mirrored });
        const [together, alone] = [await enlarge(bytes, geometry), await render(bytes, geometry)];
        expect(largestDifference(together, alone)).toBeLessThanOrEqual(1);
      }
    }
  });

  it('keeps pixels that are not scaled, and mirrors them exactly', async () => {
    const bytes = await makePng(DIGIT);
    const pixels = makePixels(DIGIT);
    expect(samePixels(await enlarge(bytes, geometryOf(DIGIT)), pixels)).toBe(true);
    const mirrored = await enlarge(bytes, geometryOf(DIGIT, { mirrored: true }));
    expect(samePixels(mirrored, mirror(pixels, DIGIT))).toBe(true);
  });

  it('leaves an axis alone that is not scaled', async () => {
    const stored = { width: 20, height: 12 };
    const size = { width: 20, height: 40 };
    const bytes = await encodePng(gradient(stored, 9), stored);
    const geometry = geometryOf(stored, { resized: size, window: { left: 0, top: 0, ...size } });
    const reds = (await enlarge(bytes, geometry)).filter((_, index) => index % 3 === 0);
    expect(reds.every((red, index) => red === (index % 20) * 9)).toBe(true);
  });

  it('gives an image the same pixels whatever is enlarged with it', async () => {
    const pngs = await Promise.all(
      Array.from({ length: 6 }, (_, seed) =>
        makePng({ ...DIGIT, seed, kind: seed % 2 === 0 ? 'grey' : 'rgb' }),
      ),
    );
    const odd = await makePng({ width: 19, height: 23 });
    const geometries = [
      geometryOf(DIGIT, TRANSLATED),
      geometryOf(DIGIT, { ...TRANSLATED, mirrored: true }),
      // Samples fall on multiples of 1/4096 here: the last bit of a coordinate could tell.
      geometryOf(DIGIT, {
        resized: { width: 64, height: 64 },
        window: { left: 0, top: 0, width: 64, height: 64 },
      }),
    ];
    const alone = await Promise.all(
      pngs.map((png) => Promise.all(geometries.map((geometry) => enlarge(png, geometry)))),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(5), fc.nat(2)), { minLength: 1, maxLength: 250 }),
        async (choices) => {
          const batch = choices.map(([png, geometry]) =>
            prepare(pngs[png] ?? odd, geometries[geometry] ?? geometryOf(DIGIT)),
          );
          const other = prepare(odd, geometryOf({ width: 19, height: 23 }));
          await enlargeSmall([other, ...batch], new Semaphore(2));
          const differing = batch.filter(({ target }, index) => {
            const [png, geometry] = choices[index] ?? [0, 0];
            return !samePixels(target, alone[png]?.[geometry] ?? new Uint8Array());
          });
          expect(differing).toHaveLength(0);
        },
      ),
      { numRuns: 12 },
    );
  });

  it('has nothing to do for no images', async () => {
    await expect(enlargeSmall([], new Semaphore(1))).resolves.toBeUndefined();
  });
});

describe('isEnlargement', () => {
  const stored = { width: 30, height: 20 };
  it.each([
    [true, 'the same size', {}],
    [true, 'a larger one', { resized: { width: 60, height: 40 } }],
    [true, 'a mirrored one', { mirrored: true }],
    [false, 'a smaller one', { resized: { width: 60, height: 19 } }],
    [false, 'a part', { crop: { left: 0, top: 1, width: 30, height: 19 } }],
    [false, 'a rotated one', { rotationDegrees: 1 }],
  ])('%s for %s', (expected, _, changes) => {
    expect(isEnlargement(geometryOf(stored, changes))).toBe(expected);
  });
});
