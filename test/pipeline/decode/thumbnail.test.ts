import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import { createThumbnailer, fittedSize } from '../../../src/pipeline/decode/thumbnail.ts';
import { makeJpeg, makePngBomb } from '../../support/images.ts';
import { errorOf } from '../source/support.ts';

const side = fc.integer({ min: 1, max: 100_000 });

describe('fittedSize', () => {
  it('fits into the square, enlarges nothing, and keeps every side and the ratio', () => {
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: 1_024 }), (width, height, sidePx) => {
        const fitted = fittedSize({ width, height }, sidePx);
        for (const side of [fitted.width, fitted.height]) expect(side).toBeGreaterThanOrEqual(1);
        expect(Math.max(fitted.width, fitted.height)).toBe(Math.min(sidePx, Math.max(width, height)));
        const scale = Math.min(1, sidePx / Math.max(width, height));
        // Rounded to whole pixels, of which there is one at least.
        expect(Math.abs(fitted.width - width * scale)).toBeLessThan(1);
        expect(Math.abs(fitted.height - height * scale)).toBeLessThan(1);
      }),
    );
  });
});

describe('createThumbnailer', () => {
  const thumbnailer = createThumbnailer({ limits: DEFAULT_DECODE_LIMITS, concurrency: 2 });

  it('gives the same bytes for the same image', async () => {
    const bytes = await makeJpeg({ width: 300, height: 200 });
    const [a, b] = await Promise.all([thumbnailer.thumbnail(bytes, 64), thumbnailer.thumbnail(bytes, 64)]);
    expect(Buffer.compare(a, b)).toBe(0);
  });

  it('meets the limits of decoding', async () => {
    expect((await errorOf(thumbnailer.thumbnail(makePngBomb(), 64))).code).toBe('IMAGE_TOO_MANY_PIXELS');
    const limits = { ...DEFAULT_DECODE_LIMITS, maxBytes: 10 };
    const strict = createThumbnailer({ limits, concurrency: 1 });
    const error = await errorOf(strict.thumbnail(await makeJpeg(), 64));
    expect(error.code).toBe('IMAGE_TOO_MANY_BYTES');
  });
});
