import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divide, PIXELS_PER_CALL, PixelSummer } from '../../../src/pipeline/prepare/pixel-sums.ts';

const pixelsOf = (bytes: readonly number[]) =>
  Uint8Array.from(bytes.slice(0, Math.floor(bytes.length / 3) * 3));
const someBytes = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 3, maxLength: 300 });

function summed(...images: readonly Uint8Array[]): PixelSummer {
  const summer = new PixelSummer();
  for (const pixels of images) summer.add(pixels);
  return summer;
}

describe('PixelSummer', () => {
  it('sums colours and products of a known image', () => {
    expect(summed(Uint8Array.of(1, 2, 3, 10, 20, 30)).sums()).toEqual({
      pixels: '2',
      sums: ['11', '22', '33'],
      products: ['101', '202', '303', '404', '606', '909'],
    });
  });

  it('merges to what one summer of everything has, in any order', () => {
    fc.assert(
      fc.property(fc.array(someBytes, { minLength: 1, maxLength: 6 }), (images) => {
        const all = images.map(pixelsOf);
        const merged = new PixelSummer();
        for (const pixels of all.toReversed()) merged.merge(summed(pixels).sums());
        expect(merged.sums()).toEqual(summed(...all).sums());
      }),
    );
  });

  it('gives the mean and the covariance that two passes over the pixels give', () => {
    fc.assert(
      fc.property(someBytes, (bytes) => {
        const pixels = pixelsOf(bytes);
        const { mean, covariance } = summed(pixels).moments();
        const n = pixels.length / 3;
        const channel = (c: number) => [...pixels].filter((_, at) => at % 3 === c);
        const expected = [0, 1, 2].map((c) => channel(c).reduce((sum, value) => sum + value, 0) / n);
        expected.forEach((value, c) => expect(mean[c]).toBeCloseTo(value, 10));
        for (let a = 0; a < 3; a++) {
          for (let b = 0; b < 3; b++) {
            const [x, y] = [channel(a), channel(b)];
            const value =
              x.reduce(
                (sum, v, i) => sum + (v - (expected[a] ?? 0)) * ((y[i] ?? 0) - (expected[b] ?? 0)),
                0,
              ) / n;
            expect(covariance[a]?.[b]).toBeCloseTo(value, 6);
          }
        }
      }),
    );
  });

  it('does not lose a small variance on a large mean: white but for one pixel in a billion', () => {
    const summer = new PixelSummer();
    const n = 10n ** 9n;
    const [sum, square] = [255n * n - 1n, 255n * 255n * (n - 1n) + 254n * 254n];
    summer.merge({
      pixels: String(n),
      sums: [String(sum), String(sum), String(sum)],
      products: [square, square, square, square, square, square].map(String) as never,
    });
    // p(1 − p) with p = 10⁻⁹
    expect(summer.moments().covariance[0][0]).toBe(Number('9.99999999e-10'));
  });

  it('is exact where doubles are not: sums beyond 2^53', () => {
    const summer = new PixelSummer();
    const huge = 2n ** 60n + 1n;
    const text = String(huge);
    const sums = {
      pixels: text,
      sums: [text, text, text],
      products: [text, text, text, text, text, text],
    } as const;
    summer.merge({ ...sums, sums: [...sums.sums], products: [...sums.products] });
    summer.add(Uint8Array.of(1, 1, 1));
    expect(summer.sums().pixels).toBe(String(huge + 1n));
    expect(summer.moments()).toEqual({
      mean: [1, 1, 1],
      covariance: [
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
      ],
    });
  });

  it('refuses pieces of a pixel, more than a call may hold, and a mean of nothing', () => {
    expect(() => summed(Uint8Array.of(1, 2))).toThrow('whole RGB pixels');
    expect(() => summed(new Uint8Array(3 * PIXELS_PER_CALL + 3))).toThrow('whole RGB pixels');
    expect(() => new PixelSummer().moments()).toThrow('got none');
  });
});

describe('divide', () => {
  it('is exact division where doubles can hold both numbers', () => {
    const safe = fc.maxSafeInteger();
    fc.assert(
      fc.property(
        safe,
        safe.filter((d) => d > 0),
        (a, b) => {
          expect(divide(BigInt(a), BigInt(b))).toBe(a / b + 0);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('rounds to the nearest double, ties broken by what follows them', () => {
    // Half way between 2^53 and 2^53 + 2, and a hair above.
    expect(divide((2n ** 54n + 2n) * 10n ** 30n, 2n * 10n ** 30n)).toBe(2 ** 53);
    expect(divide((2n ** 54n + 2n) * 10n ** 30n + 1n, 2n * 10n ** 30n)).toBe(2 ** 53 + 2);
    expect(divide(-((2n ** 54n + 2n) * 10n ** 30n + 1n), 2n * 10n ** 30n)).toBe(-(2 ** 53 + 2));
  });
});
