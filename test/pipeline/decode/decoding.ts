import { ImageError } from '../../../src/contract/errors.ts';
import { TORCHVISION_PREPROCESSING } from '../../../src/contract/model-card.ts';
import type { Preprocessing } from '../../../src/contract/model-card.ts';
import { createDecoder } from '../../../src/pipeline/decode/create-decoder.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import type { DecodedImage, DecodeLimits } from '../../../src/pipeline/decode/decoder.ts';

/** Filled into targets before a decode, so that what was not written shows. */
const UNTOUCHED = 0xa5;

export function shortSide(size: number, crop: number): Preprocessing {
  return {
    ...TORCHVISION_PREPROCESSING,
    resize: { kind: 'short-side', size },
    crop: { height: crop, width: crop },
  };
}

export function stretchTo(width: number, height: number): Preprocessing {
  return { ...TORCHVISION_PREPROCESSING, resize: { kind: 'stretch' }, crop: { height, width } };
}

export interface Decoded {
  readonly image: DecodedImage;
  /** (crops, H, W, 3) uint8 */
  readonly pixels: Uint8Array;
  /** Colour of a pixel. */
  at(x: number, y: number, crop?: number): number[];
}

export async function decode(
  bytes: Uint8Array,
  preprocessing: Preprocessing = shortSide(64, 48),
  crops: 1 | 5 = 1,
  limits: Partial<DecodeLimits> = {},
): Promise<Decoded> {
  const { width, height } = preprocessing.crop;
  const pixels = new Uint8Array(crops * height * width * 3).fill(UNTOUCHED);
  const decoder = createDecoder({ limits: { ...DEFAULT_DECODE_LIMITS, ...limits }, concurrency: 2 });
  const image = await decoder.decode(bytes, preprocessing, pixels);
  const at = (x: number, y: number, crop = 0) => {
    const start = ((crop * height + y) * width + x) * 3;
    return [...pixels.subarray(start, start + 3)];
  };
  return { image, pixels, at };
}

/** Code of the ImageError a decode rejects with, `decoded` where it does not, or what else was thrown. */
export async function outcomeOf(decoding: Promise<unknown>): Promise<string> {
  try {
    await decoding;
    return 'decoded';
  } catch (error) {
    return error instanceof ImageError ? error.code : `not an ImageError: ${String(error)}`;
  }
}

/** Largest difference between two colours in any channel. */
export function colourDistance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, channel) => Math.abs(value - (b[channel] ?? Number.NaN))));
}

/** Whether two images are the same to the bit; quicker than a deep comparison. */
export function samePixels(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
