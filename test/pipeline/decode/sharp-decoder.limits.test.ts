import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { createDecoder } from '../../../src/pipeline/decode/create-decoder.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import {
  EMPTY_BYTES,
  HTML_BYTES,
  makeAvif,
  makeGif,
  makeJpeg,
  makePngBomb,
  makeRandomBytes,
  makeTiff,
  makeWebp,
  SVG_BYTES,
} from '../../support/images.ts';
import { decode, outcomeOf, shortSide } from './decoding.ts';

describe('limits', () => {
  it.each([
    ['IMAGE_EMPTY', EMPTY_BYTES, 'expected an image, got zero bytes'],
    ['IMAGE_FORMAT_UNKNOWN', HTML_BYTES, 'expected JPEG, PNG, WebP, GIF, TIFF or AVIF, got an HTML document'],
    ['IMAGE_FORMAT_UNKNOWN', SVG_BYTES, 'expected JPEG, PNG, WebP, GIF, TIFF or AVIF, got an SVG drawing'],
    ['IMAGE_FORMAT_UNKNOWN', makeRandomBytes(999), /got 999 bytes of an unknown kind$/],
    [
      'IMAGE_TOO_MANY_PIXELS',
      makePngBomb(),
      /^expected an image of at most 100000000 pixels, got 50000×50000 = /,
    ],
  ] as const)('%s (%#)', async (code, bytes, message) => {
    await expect(decode(bytes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('rejects bytes and pixels from one above the limit', async () => {
    const bytes = await makeJpeg({ width: 50, height: 40 });
    expect(await outcomeOf(decode(bytes, shortSide(64, 48), 1, { maxBytes: bytes.length }))).toBe('decoded');
    expect(await outcomeOf(decode(bytes, shortSide(64, 48), 1, { maxBytes: bytes.length - 1 }))).toBe(
      'IMAGE_TOO_MANY_BYTES',
    );
    expect(await outcomeOf(decode(bytes, shortSide(64, 48), 1, { maxPixels: 2000 }))).toBe('decoded');
    expect(await outcomeOf(decode(bytes, shortSide(64, 48), 1, { maxPixels: 1999 }))).toBe(
      'IMAGE_TOO_MANY_PIXELS',
    );
  });

  it.each([
    ['WebP', makeWebp],
    ['GIF', makeGif],
    ['TIFF', makeTiff],
    ['AVIF', makeAvif],
  ])('counts the pixels of a %s', async (_name, make) => {
    const bytes = await make({ width: 50, height: 40 });
    expect(await outcomeOf(decode(bytes, shortSide(64, 48), 1, { maxPixels: 1999 }))).toBe(
      'IMAGE_TOO_MANY_PIXELS',
    );
  });

  it('a bomb costs no memory and no time', async () => {
    const before = process.memoryUsage().rss;
    const started = performance.now();
    for (let count = 0; count < 20; count++) await outcomeOf(decode(makePngBomb()));
    expect(performance.now() - started).toBeLessThan(2000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  it('gives up at the deadline, leaves the target alone, and frees the slot', async () => {
    const limits = { ...DEFAULT_DECODE_LIMITS, timeoutMs: 1 };
    const decoder = createDecoder({ limits, concurrency: 1 });
    const background = { r: 1, g: 2, b: 3, alpha: 0.5 };
    const bytes = await sharp({ create: { width: 2000, height: 2000, channels: 4, background } })
      .png()
      .toBuffer();
    const target = new Uint8Array(48 * 48 * 3).fill(7);
    // The second starts only once the first has let go of the only slot.
    const outcomes = await Promise.all(
      [1, 2].map(() => outcomeOf(decoder.decode(bytes, shortSide(64, 48), target))),
    );
    expect(outcomes).toEqual(['IMAGE_TIMEOUT', 'IMAGE_TIMEOUT']);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(target.every((value) => value === 7)).toBe(true);
  });

  it('an image without a row is corrupt', async () => {
    const jpeg = Buffer.from(await makeJpeg());
    const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.writeUInt16BE(0, frame + 5);
    expect(await outcomeOf(decode(jpeg))).toBe('IMAGE_CORRUPT');
  });
});
