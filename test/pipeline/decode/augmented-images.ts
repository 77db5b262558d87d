import sharp from 'sharp';
import type { PixelGeometry } from '../../../src/pipeline/decode/pixel-geometry.ts';
import { decodeAugmented } from '../../../src/pipeline/decode/decode-augmented.ts';
import type { Size } from '../../../src/pipeline/decode/orientation.ts';

export const FILL = [201, 13, 77] as const;

/** Red rises with x, green with y, blue with neither: a pixel tells where it comes from. */
export function gradient({ width, height }: Size, step = 1): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) pixels.set([x * step, y * step, 128], (y * width + x) * 3);
  }
  return pixels;
}

export async function encodePng(pixels: Uint8Array, size: Size, channels: 1 | 3 = 3): Promise<Uint8Array> {
  return sharp(pixels, { raw: { ...size, channels } })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();
}

/** The whole image as it is, but for what is given. */
export function geometryOf(stored: Size, changes: Partial<PixelGeometry> = {}): PixelGeometry {
  const whole = { left: 0, top: 0, ...stored };
  return {
    stored,
    crop: whole,
    resized: stored,
    window: whole,
    rotationDegrees: 0,
    mirrored: false,
    ...changes,
  };
}

/** Pixels that nothing wrote are 0xa5. */
export async function render(bytes: Uint8Array, geometry: PixelGeometry): Promise<Uint8Array> {
  const target = new Uint8Array(geometry.window.width * geometry.window.height * 3).fill(0xa5);
  await decodeAugmented(bytes, geometry, target, { meanPixel: FILL });
  return target;
}

/** (height, width, 3) with every row reversed. */
export function mirror(pixels: Uint8Array, { width, height }: Size): Uint8Array {
  const mirrored = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + width - 1 - x) * 3;
      mirrored.set(pixels.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return mirrored;
}

export function largestDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Number.NaN;
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? Number.NaN))), 0);
}
