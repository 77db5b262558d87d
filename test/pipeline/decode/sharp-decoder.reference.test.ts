import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decode, shortSide } from './decoding.ts';

/** Written by test/reference/decode/make-reference.py. */
interface ReferenceCase {
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly size: number;
  readonly crop: number;
  readonly interpolation: 'bilinear' | 'bicubic' | 'lanczos' | 'nearest';
  readonly crops: 1 | 5;
  readonly reference: string;
}

const FOLDER = new URL('../../reference/decode/', import.meta.url);
const read = (name: string): Buffer => readFileSync(new URL(name, FOLDER));
const { cases } = JSON.parse(read('reference.json').toString()) as { cases: ReferenceCase[] };

/** Absolute differences in levels of 255. Measured values are at most 0.6 / 5, with `nearest` 1.01 / 10. */
function tolerance({ width, height, size, interpolation }: ReferenceCase): { mean: number; p99: number } {
  if (interpolation === 'nearest') return { mean: 1.2, p99: 12 };
  // From four times down, libvips and libjpeg average whole blocks of pixels before the antialiased resize.
  return Math.min(width, height) / size < 4 ? { mean: 0.3, p99: 1 } : { mean: 0.7, p99: 6 };
}

describe('pixels agree with torchvision', () => {
  it.each(cases)('$reference', async (reference) => {
    const { image, width, height, size, crop, interpolation, crops } = reference;
    const expected = await sharp(read(reference.reference)).raw().toBuffer();
    const decoded = await decode(read(image), { ...shortSide(size, crop), interpolation }, crops);
    expect(decoded.image).toEqual({ width, height });
    expect(decoded.pixels.length).toBe(expected.length);

    const differences = Array.from(decoded.pixels, (value, index) =>
      Math.abs(value - (expected[index] ?? 0)),
    );
    differences.sort((a, b) => a - b);
    const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
    const p99 = differences[Math.floor(differences.length * 0.99)] ?? 0;
    const allowed = tolerance(reference);
    expect(mean).toBeLessThanOrEqual(allowed.mean);
    expect(p99).toBeLessThanOrEqual(allowed.p99);
  });
});
