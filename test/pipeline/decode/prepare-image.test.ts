import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DECODE_LIMITS, type DecodeLimits } from '../../../src/pipeline/decode/decoder.ts';
import {
  createImagePreparer,
  type PreparedImage,
  type PrepareImageOptions,
} from '../../../src/pipeline/decode/prepare-image.ts';
import {
  EMPTY_BYTES,
  HTML_BYTES,
  makeEveryFormat,
  makeJpeg,
  makePixels,
  makePng,
  makePngBomb,
  makeRandomBytes,
  QUADRANT_COLOURS,
  truncate,
} from '../../support/images.ts';
import { plainPng, pngChunk } from './png-chunks.ts';
import { colourDistance, decode, outcomeOf, samePixels, shortSide } from './decoding.ts';

function prepare(
  bytes: Uint8Array,
  options: Partial<PrepareImageOptions> = {},
  limits: Partial<DecodeLimits> = {},
): Promise<PreparedImage> {
  const preparer = createImagePreparer({ limits: { ...DEFAULT_DECODE_LIMITS, ...limits }, concurrency: 2 });
  return preparer.prepare(bytes, { shortSide: 32, encoding: 'png', ...options });
}

const everyFormat = await makeEveryFormat({ width: 90, height: 60, pattern: 'quadrants' });

async function pixelsOf(encoded: Uint8Array): Promise<Uint8Array> {
  return sharp(encoded).raw().toBuffer();
}

describe('size', () => {
  it.each([
    [100, 50, 64, 32],
    [50, 100, 32, 64],
    [101, 67, 48, 32],
    [64, 64, 32, 32],
    [33, 33, 32, 32],
    [32, 90, 32, 90],
    [20, 10, 20, 10],
    [1, 300, 1, 300],
  ])('%i × %i becomes %i × %i: the shorter side 32, or as it is', async (width, height, ...expected) => {
    const image = await prepare(await makePng({ width, height }));
    expect([image.width, image.height]).toEqual(expected);
    const metadata = await sharp(image.bytes).metadata();
    expect([metadata.width, metadata.height]).toEqual(expected);
    expect(image.pixels.length).toBe(image.width * image.height * 3);
  });

  it('refuses sides that JPEG cannot hold', async () => {
    const panorama = await makePng({ width: 65_501, height: 2, pattern: 'quadrants' });
    expect(await outcomeOf(prepare(panorama))).toBe('IMAGE_TOO_MANY_PIXELS');
    const longest = await prepare(await makePng({ width: 65_500, height: 2, pattern: 'quadrants' }), {
      encoding: 'jpeg',
    });
    expect(longest.width).toBe(65_500);
  });
});

describe('pixels', () => {
  it('are those that the decoder gives a model, to the bit', async () => {
    const bytes = await makeJpeg({ width: 90, height: 60, seed: 5 });
    const image = await prepare(bytes, { shortSide: 32 });
    const decoded = await decode(bytes, { ...shortSide(32, 32), crop: { width: 48, height: 32 } });
    expect(samePixels(image.pixels, decoded.pixels)).toBe(true);
  });

  it('of a small PNG survive unchanged', async () => {
    const options = { width: 28, height: 28, seed: 9 };
    const image = await prepare(await makePng(options));
    expect(samePixels(image.pixels, makePixels(options))).toBe(true);
    expect(samePixels(await pixelsOf(image.bytes), makePixels(options))).toBe(true);
  });

  it.each(Object.entries(everyFormat))('of %s are RGB, in both encodings', async (name, bytes) => {
    const isGrey = name.includes('grey');
    for (const encoding of ['jpeg', 'png'] as const) {
      const image = await prepare(bytes, { encoding });
      const metadata = await sharp(image.bytes).metadata();
      expect([metadata.format, metadata.space, metadata.channels, metadata.depth]).toEqual([
        encoding,
        'srgb',
        3,
        'uchar',
      ]);
      expect([image.width, image.height]).toEqual([48, 32]);
      const stored = await pixelsOf(image.bytes);
      const corners = [
        [8, 8],
        [40, 8],
        [8, 24],
        [40, 24],
      ] as const;
      corners.forEach(([x, y], quadrant) => {
        const colour = [...stored.subarray((y * 48 + x) * 3, (y * 48 + x) * 3 + 3)];
        // Conversion through CMYK and grey loses colour; that those are right is for the decoder's tests.
        if (isGrey) expect(Math.max(...colour) - Math.min(...colour)).toBeLessThanOrEqual(2);
        else if (!name.includes('CMYK')) {
          expect(colourDistance(colour, QUADRANT_COLOURS[quadrant] ?? [])).toBeLessThanOrEqual(8);
        }
      });
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('are turned upright from EXIF orientation %i', async (orientation) => {
    const bytes = await makeJpeg({ width: 90, height: 60, orientation });
    const image = await prepare(bytes);
    const expected = await sharp(bytes)
      .autoOrient()
      .resize({ width: image.width, height: image.height, kernel: 'linear', fastShrinkOnLoad: false })
      .raw()
      .toBuffer();
    const largest = image.pixels.reduce(
      (worst, value, at) => Math.max(worst, Math.abs(value - (expected[at] ?? 0))),
      0,
    );
    expect([image.width, image.height]).toEqual(orientation >= 5 ? [32, 48] : [48, 32]);
    expect(largest).toBeLessThanOrEqual(2);
  });

  it('are antialiased: a fine checkerboard becomes grey', async () => {
    const side = 256;
    const board = Buffer.alloc(side * side * 3);
    for (let at = 0; at < side * side; at++)
      board.fill(((at % side) + Math.floor(at / side)) % 2 === 0 ? 0 : 255, at * 3, at * 3 + 3);
    const bytes = await sharp(board, { raw: { width: side, height: side, channels: 3 } })
      .png()
      .toBuffer();
    const { pixels } = await prepare(bytes, { shortSide: 32 });
    expect(Math.min(...pixels)).toBeGreaterThan(110);
    expect(Math.max(...pixels)).toBeLessThan(145);
  });
});

describe('a small PNG that is to become the very same PNG', () => {
  const size = { width: 28, height: 20 };
  const rgb = makePixels(size);
  const grey = makeRandomBytes(28 * 20, 4);

  it.each([
    ['RGB', rgb],
    ['grey', grey],
  ])('stays byte for byte: %s', async (_what, stored) => {
    const bytes = plainPng({ ...size, pixels: stored });
    const image = await prepare(bytes);
    expect([image.width, image.height, samePixels(image.bytes, bytes)]).toEqual([28, 20, true]);
    // RGB, and what the decoder of the pipelines makes of the file.
    expect(samePixels(image.pixels, await sharp(bytes).toColourspace('srgb').raw().toBuffer())).toBe(true);
  });

  it.each<[string, () => Uint8Array | Promise<Uint8Array>]>([
    [
      'with text',
      () => plainPng({ ...size, pixels: rgb, extra: pngChunk('tEXt', Buffer.from('Author\0me')) }),
    ],
    [
      'with a resolution',
      () => plainPng({ ...size, pixels: rgb, extra: pngChunk('pHYs', Buffer.alloc(9, 1)) }),
    ],
    ['with filtered rows', () => encodePng({ adaptiveFiltering: true })],
    ['with a palette', () => makePng({ ...size, kind: 'palette' })],
    ['with EXIF', () => makePng({ ...size, orientation: 1 })],
  ])('is encoded again %s, without metadata, and keeps its pixels', async (_what, make) => {
    const bytes = await make();
    const image = await prepare(bytes);
    expect(samePixels(image.bytes, bytes)).toBe(false);
    expect(samePixels(image.pixels, await pixelsOf(bytes))).toBe(true);
    expect(samePixels(await pixelsOf(image.bytes), image.pixels)).toBe(true);
    const text = Buffer.from(image.bytes).toString('latin1');
    expect(['tEXt', 'eXIf', 'PLTE'].filter((type) => text.includes(type))).toEqual([]);
  });

  it('is turned upright where EXIF says so', async () => {
    const image = await prepare(await makePng({ ...size, orientation: 6 }));
    expect([image.width, image.height]).toEqual([20, 28]);
  });

  it('is reduced where its shorter side is larger, and becomes JPEG where that is wanted', async () => {
    const bytes = plainPng({ ...size, pixels: rgb });
    const reduced = await prepare(bytes, { shortSide: 10 });
    expect([reduced.width, reduced.height]).toEqual([14, 10]);
    expect((await sharp((await prepare(bytes, { encoding: 'jpeg' })).bytes).metadata()).format).toBe('jpeg');
  });

  it('has the limits of every image', async () => {
    const bytes = plainPng({ ...size, pixels: rgb });
    expect(await outcomeOf(prepare(bytes, {}, { maxBytes: bytes.length - 1 }))).toBe('IMAGE_TOO_MANY_BYTES');
    expect(await outcomeOf(prepare(bytes, {}, { maxPixels: 28 * 20 - 1 }))).toBe('IMAGE_TOO_MANY_PIXELS');
  });

  function encodePng(options: { adaptiveFiltering: boolean }): Promise<Uint8Array> {
    return sharp(rgb, { raw: { ...size, channels: 3 } })
      .png(options)
      .toBuffer();
  }
});

describe('encoding', () => {
  it('is JPEG of quality 92 with full colour resolution, without metadata', async () => {
    const { bytes } = await prepare(await makeJpeg({ width: 90, height: 60, orientation: 6 }), {
      encoding: 'jpeg',
    });
    const metadata = await sharp(bytes).metadata();
    expect(metadata).toMatchObject({
      format: 'jpeg',
      chromaSubsampling: '4:4:4',
      isProgressive: false,
      hasProfile: false,
    });
    expect(metadata.exif).toBeUndefined();
    expect(metadata.orientation).toBeUndefined();
    // The first luma coefficient of Annex K's table, 16, at quality 92: (16 · 16 + 50) / 100.
    const table = Buffer.from(bytes).indexOf(Buffer.from([0xff, 0xdb]));
    expect(bytes[table + 5]).toBe(3);
  });

  it.each(['jpeg', 'png'] as const)('gives the same %s bytes every time', async (encoding) => {
    const source = await makeJpeg({ width: 90, height: 60 });
    const [a, b] = await Promise.all([prepare(source, { encoding }), prepare(source, { encoding })]);
    expect(samePixels(a.bytes, b.bytes)).toBe(true);
  });
});

describe('faults', () => {
  it.each<[string, () => Promise<Uint8Array> | Uint8Array, string]>([
    ['zero bytes', () => EMPTY_BYTES, 'IMAGE_EMPTY'],
    ['a web page', () => HTML_BYTES, 'IMAGE_FORMAT_UNKNOWN'],
    ['noise', () => makeRandomBytes(500), 'IMAGE_FORMAT_UNKNOWN'],
    ['a cut JPEG', async () => truncate(await makeJpeg(), 0.6), 'IMAGE_TRUNCATED'],
    ['a cut PNG', async () => truncate(await makePng(), 0.6), 'IMAGE_TRUNCATED'],
    ['a bomb', () => makePngBomb(), 'IMAGE_TOO_MANY_PIXELS'],
    ['a hollow PNG', () => makePngBomb(100, 100), 'IMAGE_CORRUPT'],
  ])('of %s are errors of the image: %s', async (_what, make, code) => {
    expect(await outcomeOf(prepare(await make()))).toBe(code);
  });

  it('has the limits on bytes and pixels', async () => {
    const bytes = await makePng({ width: 64, height: 48 });
    expect(await outcomeOf(prepare(bytes, {}, { maxBytes: bytes.length - 1 }))).toBe('IMAGE_TOO_MANY_BYTES');
    expect(await outcomeOf(prepare(bytes, {}, { maxPixels: 64 * 48 - 1 }))).toBe('IMAGE_TOO_MANY_PIXELS');
    expect(await outcomeOf(prepare(bytes, {}, { maxBytes: bytes.length, maxPixels: 64 * 48 }))).toBe(
      'decoded',
    );
  });

  it('gives up at the deadline', async () => {
    const bytes = await makePng({ width: 1_500, height: 1_500 });
    expect(await outcomeOf(prepare(bytes, {}, { timeoutMs: 1 }))).toBe('IMAGE_TIMEOUT');
  });
});
