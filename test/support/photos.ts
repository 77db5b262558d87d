import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { expect } from 'vitest';
import { writeFiles } from './datasets.ts';
import { makeJpeg, makePng, truncate } from './images.ts';

/** What is in the collection of {@link writePhotos}. */
export const PHOTO_CLASSES = ['cat', 'dog', 'ewe é'];
export const PHOTOS_PER_CLASS = 10;

/**
 * A collection with a folder for each class, as real ones are: several formats and sizes, a content twice within a
 * class, another in two classes, a broken file, an image without a class, and a file that is none.
 */
export async function writePhotos(folder: string): Promise<void> {
  for (const [id, name] of PHOTO_CLASSES.entries()) {
    for (let index = 0; index < PHOTOS_PER_CLASS; index++) {
      const [key, bytes] = await photo(id * 100 + index);
      writeFiles(folder, { [`${name}/${key}`]: bytes });
    }
  }
  copyFileSync(join(folder, 'cat/000.jpg'), join(folder, 'cat/twin.jpg'));
  copyFileSync(join(folder, 'cat/001.png'), join(folder, 'dog/not-a-dog.png'));
  writeFiles(folder, {
    'cat/broken.jpg': truncate(await makeJpeg({ width: 80, height: 60 }), 0.5),
    'no-class.png': await makePng({ seed: 999 }),
    'dog/read-me.txt': 'not listed: no image by its name',
  });
}

/** Images of several formats and sizes, larger and smaller than what they are prepared to. */
export async function photo(index: number): Promise<[key: string, bytes: Uint8Array]> {
  const name = String(index % 100).padStart(3, '0');
  const seed = index + 1;
  const kind = (index % 100) % 3;
  if (kind === 0) return [`${name}.jpg`, await makeJpeg({ width: 120 + index, height: 90, seed })];
  if (kind === 1) return [`${name}.png`, await makePng({ width: 50, height: 75 + (index % 7), seed })];
  return [`${name}.png`, await makePng({ width: 20 + (index % 5), height: 28, seed, kind: 'grey' })];
}

/** Mean and covariance of RGB over images, in plain sums. */
export async function momentsOf(
  images: readonly Uint8Array[],
): Promise<{ mean: number[]; covariance: number[][] }> {
  let count = 0;
  const sums = [0, 0, 0];
  const products = [0, 1, 2].map(() => [0, 0, 0]);
  for (const bytes of images) {
    const pixels = await sharp(bytes).toColourspace('srgb').raw().toBuffer();
    for (let pixel = 0; pixel < pixels.length; pixel += 3) {
      count += 1;
      for (let a = 0; a < 3; a++) {
        sums[a] = (sums[a] ?? 0) + (pixels[pixel + a] ?? 0);
        const row = products[a] ?? [];
        for (let b = 0; b < 3; b++)
          row[b] = (row[b] ?? 0) + (pixels[pixel + a] ?? 0) * (pixels[pixel + b] ?? 0);
      }
    }
  }
  const mean = sums.map((sum) => sum / count);
  const covariance = products.map((row, a) =>
    row.map((sum, b) => sum / count - (mean[a] ?? 0) * (mean[b] ?? 0)),
  );
  return { mean, covariance };
}

export function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-8): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, index) => {
    const other = expected[index] ?? Number.NaN;
    expect(Math.abs(value - other), `${value} and ${other}`).toBeLessThanOrEqual(tolerance * Math.abs(other));
  });
}
