import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodePhoto, makePhoto, preparePhotos } from '../../bench/photos.ts';

describe('makePhoto', () => {
  const photos = Array.from({ length: 16 }, (_, seed) => makePhoto(seed));

  it('gives the same pixels for the same seed, and others for another', () => {
    const third = Buffer.from(photos[3]?.pixels ?? []);
    expect(third.equals(makePhoto(3).pixels)).toBe(true);
    expect(third.equals(makePhoto(4).pixels)).toBe(false);
  });

  it('varies size and orientation about 500×375', () => {
    expect(new Set(photos.map(({ width, height }) => `${width}×${height}`)).size).toBeGreaterThan(8);
    expect(new Set(photos.map(({ width, height }) => width > height))).toEqual(new Set([true, false]));
    for (const { width, height, pixels } of photos) {
      expect(Math.max(width, height)).toBeGreaterThanOrEqual(476);
      expect(Math.max(width, height)).toBeLessThanOrEqual(524);
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(351);
      expect(Math.min(width, height)).toBeLessThanOrEqual(399);
      expect(pixels.length).toBe(width * height * 3);
    }
  });

  it('encodes to as many bytes as a photograph of that size does', async () => {
    const sizes = await Promise.all(photos.map(async (photo) => (await encodePhoto(photo)).length));
    const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    expect(mean).toBeGreaterThan(30_000);
    expect(mean).toBeLessThan(42_000);
    for (const size of sizes) expect(size).toBeGreaterThan(18_000);
  });

  it('spreads over brightness and colour', () => {
    for (const { pixels } of photos) {
      const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
      const variance = pixels.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixels.length;
      expect(Math.sqrt(variance)).toBeGreaterThan(20);
    }
  });
});

describe('preparePhotos', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagemill-photos-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('writes what is missing and keeps what is there', async () => {
    const kept = join(folder, '000001.jpg');
    await writeFile(kept, 'kept');
    const paths = await preparePhotos(folder, 3);
    expect(paths.map((path) => basename(path))).toEqual(['000000.jpg', '000001.jpg', '000002.jpg']);
    expect(await readFile(kept, 'utf8')).toBe('kept');
    expect(new Uint8Array(await readFile(join(folder, '000002.jpg')))).toEqual(
      new Uint8Array(await encodePhoto(makePhoto(2))),
    );
    const { mtimeMs } = await stat(join(folder, '000000.jpg'));
    await preparePhotos(folder, 2);
    expect((await stat(join(folder, '000000.jpg'))).mtimeMs).toBe(mtimeMs);
    expect(await readdir(folder)).toHaveLength(3);
  });

  it('fits photos into a smaller square', async () => {
    const [path = ''] = await preparePhotos(folder, 1, 160);
    const { width, height } = await sharp(path).metadata();
    expect(Math.max(width, height)).toBe(160);
  });
});
