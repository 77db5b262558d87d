import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImagemillError } from '../../../src/contract/errors.ts';
import { filterImages, gridColumns, layOutImages } from '../../../src/pipeline/charts/image-grid.ts';

function solid(width: number, height: number, value: number): Uint8Array {
  return new Uint8Array(width * height * 3).fill(value);
}

describe('gridColumns', () => {
  it.each([
    [96, 12],
    [64, 8],
    [16, 4],
    [128, 16],
    [1, 1],
    [2, 2],
    [3, 2],
    [7, 3],
    [100, 10],
    [97, 10],
    [0, 1],
  ])('lays %d images out in %d columns', (count, columns) => {
    expect(gridColumns(count)).toBe(columns);
  });
});

describe('layOutImages', () => {
  it('copies every pixel of every image to its place, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.record({
          count: fc.integer({ min: 1, max: 12 }),
          width: fc.integer({ min: 1, max: 5 }),
          height: fc.integer({ min: 1, max: 5 }),
          columns: fc.integer({ min: 1, max: 5 }),
          gap: fc.integer({ min: 0, max: 3 }),
          upscale: fc.integer({ min: 1, max: 3 }),
        }),
        ({ count, width, height, columns, gap, upscale }) => {
          const size = width * height * 3;
          const images = Array.from({ length: count }, (_, image) =>
            Uint8Array.from({ length: size }, (_, index) => (image * 31 + index * 7) % 251),
          );
          const picture = layOutImages({ images, width, height }, { columns, gap, upscale, background: 255 });
          expect(picture.width).toBe(columns * (width * upscale + gap) + gap);
          expect(picture.height).toBe(Math.ceil(count / columns) * (height * upscale + gap) + gap);
          expect(picture.pixels).toEqual(
            Uint8Array.from({ length: picture.width * picture.height * 3 }, (_, index) => {
              const channel = index % 3;
              const x = (Math.floor(index / 3) % picture.width) - gap;
              const y = Math.floor(index / 3 / picture.width) - gap;
              const [column, row] = [
                Math.floor(x / (width * upscale + gap)),
                Math.floor(y / (height * upscale + gap)),
              ];
              const inX = Math.floor((x - column * (width * upscale + gap)) / upscale);
              const inY = Math.floor((y - row * (height * upscale + gap)) / upscale);
              const isInside = column >= 0 && row >= 0 && inX < width && inY < height;
              const image = isInside && column < columns ? images[row * columns + column] : undefined;
              return image?.[(inY * width + inX) * 3 + channel] ?? 255;
            }),
          );
        },
      ),
    );
  });

  it('draws 96 filters of 11 × 11 as 8 rows of 12', () => {
    const images = Array.from({ length: 96 }, () => solid(11, 11, 0));
    const { width, height } = layOutImages({ images, width: 11, height: 11 }, { gap: 2, upscale: 4 });
    expect([width, height]).toEqual([2 + 12 * 46, 2 + 8 * 46]);
  });

  it.each([
    { what: 'no images', images: [], upscale: 1 },
    { what: 'an image of another size', images: [solid(2, 2, 0), solid(3, 2, 0)], upscale: 1 },
    { what: 'a picture that is too large', images: [solid(2, 2, 0)], upscale: 10_000 },
  ])('refuses $what', ({ images, upscale }) => {
    expect(() => layOutImages({ images, width: 2, height: 2 }, { upscale })).toThrow(RangeError);
  });
});

describe('filterImages', () => {
  it('turns planes into pixels: 0 is grey, the largest weight of each filter black or white', () => {
    // Two filters of 1 × 2: R, G and B plane after one another.
    const weight = Float32Array.of(0, 2, -1, 1, 0.5, -0.5, 0, -1e-6, 0, 0, 0, 5e-7);
    const { images, width, height } = filterImages(weight, [2, 3, 1, 2]);
    expect([width, height]).toEqual([2, 1]);
    expect(images.map((image) => [...image])).toEqual([
      [128, 64, 159, 255, 191, 96],
      [128, 128, 128, 0, 128, 191],
    ]);
  });

  it('draws a filter of zeros grey', () => {
    expect(filterImages(new Float32Array(27), [1, 3, 3, 3]).images).toEqual([solid(3, 3, 128)]);
  });

  it('does not see how large the weights are, and mirrors their sign', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 12, maxLength: 12, noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom(0.25, 2, 1024),
        (weight, factor) => {
          const scaled = weight.map((value) => value * factor);
          fc.pre(scaled.every((value, index) => Number.isFinite(value) && value / factor === weight[index]));
          const [image] = filterImages(weight, [1, 3, 2, 2]).images;
          const [larger] = filterImages(scaled, [1, 3, 2, 2]).images;
          const [negative] = filterImages(
            weight.map((value) => -value),
            [1, 3, 2, 2],
          ).images;
          expect(larger).toEqual(image);
          negative?.forEach((value, index) => {
            expect(Math.abs(value + (image?.[index] ?? 0) - 255)).toBeLessThanOrEqual(1);
          });
        },
      ),
    );
  });

  it.each([
    ['MODEL_SHAPE_MISMATCH', new Float32Array(9), [1, 1, 3, 3]],
    ['MODEL_SHAPE_MISMATCH', new Float32Array(26), [1, 3, 3, 3]],
    ['MODEL_SHAPE_MISMATCH', new Float32Array(12), [4, 3]],
    ['MODEL_CORRUPT', Float32Array.of(0, Number.NaN, 0), [1, 3, 1, 1]],
    ['MODEL_CORRUPT', Float32Array.of(0, 0, -Infinity), [1, 3, 1, 1]],
  ] as const)('throws %s', (code, weight, shape) => {
    expect(() => filterImages(weight, shape)).toThrow(expect.objectContaining({ code }) as ImagemillError);
  });
});
