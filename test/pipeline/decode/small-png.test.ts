import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readPngHeader, readSmallPng, SMALL_IMAGE_PIXELS } from '../../../src/pipeline/decode/small-png.ts';
import { makeJpeg, makePixels, makePng, truncate } from '../../support/images.ts';

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
