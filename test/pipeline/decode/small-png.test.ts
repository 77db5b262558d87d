import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import {
  readPlainPng,
  readPngHeader,
  readSmallPng,
  rgbOfRows,
  SMALL_IMAGE_PIXELS,
} from '../../../src/pipeline/decode/small-png.ts';
import { makeJpeg, makePixels, makePng, makeRandomBytes, truncate } from '../../support/images.ts';
import { plainPng, pngChunk } from './png-chunks.ts';

const SIZE = { width: 28, height: 20 };

/** Without the filter bytes. */
function pixelsOf(bytes: Uint8Array): number[] {
  const png = readSmallPng(bytes);
  if (png === undefined) throw new Error('expected a small PNG');
  const rowBytes = 1 + png.width * png.channels;
  return [...png.rows].filter((_, index) => index % rowBytes !== 0);
}

describe('readSmallPng', () => {
  it.each(['rgb', 'grey'] as const)('reads the pixels that libvips reads: %s', async (kind) => {
    const bytes = await makePng({ ...SIZE, kind });
    expect(readSmallPng(bytes)).toMatchObject({ ...SIZE, channels: kind === 'rgb' ? 3 : 1 });
    const decoded = await sharp(bytes)
      .toColourspace(kind === 'rgb' ? 'srgb' : 'b-w')
      .raw()
      .toBuffer();
    expect(pixelsOf(bytes)).toEqual([...decoded]);
  });

  it('reads from a view into a larger buffer', async () => {
    const bytes = await makePng(SIZE);
    const buffer = new Uint8Array(bytes.length + 7);
    buffer.set(bytes, 5);
    expect(pixelsOf(buffer.subarray(5, 5 + bytes.length))).toEqual([...makePixels(SIZE)]);
  });

  it.each([
    ['a palette', async () => makePng({ ...SIZE, kind: 'palette' })],
    ['alpha', async () => makePng({ ...SIZE, kind: 'rgba' })],
    ['16 bits', async () => makePng({ ...SIZE, kind: 'rgb16' })],
    ['filtered rows', async () => encode({ adaptiveFiltering: true })],
    ['interlacing', async () => encode({ progressive: true })],
    ['many pixels', async () => makePng({ width: 65, height: 64 })],
    ['another format', async () => makeJpeg(SIZE)],
    ['no bytes', async () => new Uint8Array(0)],
    ['missing bytes', async () => truncate(await makePng(SIZE), 0.7)],
    ['a missing end', async () => (await makePng(SIZE)).slice(0, -12)],
  ])('leaves %s to libvips', async (_, make) => {
    expect(readSmallPng(await make())).toBeUndefined();
  });

  it('leaves rows without pixels to libvips, however many there are', () => {
    const png = Buffer.from(plainPng({ width: 1, height: 1, pixels: Uint8Array.of(7) }));
    const header = Buffer.alloc(13);
    header.writeUInt32BE(2 ** 32 - 1, 4);
    header.set([8, 0, 0, 0, 0], 8);
    expect(
      readSmallPng(Buffer.concat([png.subarray(0, 8), pngChunk('IHDR', header), png.subarray(33)])),
    ).toBeUndefined();
  });

  it('inflates no more than the pixels that the header says', () => {
    const png = plainPng({ width: 1, height: 1, pixels: Uint8Array.of(7) });
    const bomb = pngChunk('IDAT', deflateSync(Buffer.alloc(256 * 2 ** 20), { level: 1 }));
    const before = process.memoryUsage().rss;
    expect(readSmallPng(Buffer.concat([png.subarray(0, 33), bomb, pngChunk('IEND')]))).toBeUndefined();
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 2 ** 20);
  });

  it('leaves an image with any damaged byte to libvips', async () => {
    const bytes = await makePng({ width: 8, height: 6 });
    for (let at = 8; at < bytes.length; at++) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      expect(readSmallPng(damaged), `byte ${at}`).toBeUndefined();
    }
  });

  it('takes images up to its limit', async () => {
    expect(SMALL_IMAGE_PIXELS).toBe(64 * 64);
    expect(readSmallPng(await makePng({ width: 64, height: 64 }))).toBeDefined();
  });
});

const GREY = makeRandomBytes(SIZE.width * SIZE.height, 3);

describe('readPlainPng', () => {
  it.each([
    ['RGB', { ...SIZE, pixels: makePixels(SIZE) }],
    ['grey', { ...SIZE, pixels: GREY }],
    ['pixels in several chunks', { ...SIZE, pixels: GREY, idatBytes: 100 }],
  ])('reads %s', (_what, png) => {
    const bytes = plainPng(png);
    expect(readPlainPng(bytes)).toEqual(readSmallPng(bytes));
    expect(readPlainPng(bytes)).toMatchObject(SIZE);
  });

  it.each([
    ['text', 'tEXt', Buffer.from('Comment\0hello')],
    ['EXIF', 'eXIf', Buffer.from('MM\0*\0\0\0\x08\0\0\0\0\0\0', 'latin1')],
    ['a gamma', 'gAMA', Uint8Array.of(0, 0, 0xb1, 0x8f)],
    ['a resolution', 'pHYs', Uint8Array.of(0, 0, 11, 19, 0, 0, 11, 19, 1)],
    ['chunks of others', 'abCd', Uint8Array.of(1)],
  ])('leaves an image with %s, which only readSmallPng takes', (_what, type, data) => {
    const bytes = plainPng({ ...SIZE, pixels: GREY, extra: pngChunk(type, data) });
    expect(readSmallPng(bytes)).toBeDefined();
    expect(readPlainPng(bytes)).toBeUndefined();
  });

  it.each([
    [
      'a transparent colour',
      plainPng({ ...SIZE, pixels: GREY, extra: pngChunk('tRNS', Uint8Array.of(0, 9)) }),
    ],
    ['filtered rows', plainPng({ ...SIZE, pixels: GREY, filter: 1 })],
    ['bytes after its end', Buffer.concat([plainPng({ ...SIZE, pixels: GREY }), Buffer.from('PK')])],
    ['a chunk after its end', Buffer.concat([plainPng({ ...SIZE, pixels: GREY }), pngChunk('tEXt')])],
    ['no end', plainPng({ ...SIZE, pixels: GREY }).slice(0, -12)],
    ['too few rows', plainPng({ ...SIZE, height: SIZE.height + 1, pixels: GREY })],
  ])('leaves an image with %s', (_what, bytes) => {
    expect(readPlainPng(bytes)).toBeUndefined();
  });
});

describe('rgbOfRows', () => {
  const rgbOf = (bytes: Uint8Array) => {
    const rows = readPlainPng(bytes);
    if (rows === undefined) throw new Error('expected a plain PNG');
    return rgbOfRows(rows);
  };

  it('gives RGB as it is', () => {
    const pixels = makePixels(SIZE);
    expect(Buffer.compare(rgbOf(plainPng({ ...SIZE, pixels })), pixels)).toBe(0);
  });

  it('gives grey three times, as libvips does', async () => {
    const bytes = plainPng({ ...SIZE, pixels: GREY });
    const decoded = await sharp(bytes).toColourspace('srgb').raw().toBuffer();
    expect(Buffer.compare(rgbOf(bytes), decoded)).toBe(0);
    expect([...decoded.subarray(0, 3)]).toEqual([GREY[0], GREY[0], GREY[0]]);
  });
});

describe('readPngHeader', () => {
  it('tells the size of any PNG', async () => {
    expect(readPngHeader(await makePng({ width: 341, height: 256, kind: 'grey16' }))).toEqual({
      width: 341,
      height: 256,
      bitDepth: 16,
      colourType: 0,
      isInterlaced: false,
    });
    expect(readPngHeader(await makeJpeg(SIZE))).toBeUndefined();
  });
});

async function encode(options: { adaptiveFiltering?: boolean; progressive?: boolean }): Promise<Uint8Array> {
  return sharp(makePixels(SIZE), { raw: { ...SIZE, channels: 3 } })
    .png(options)
    .toBuffer();
}
