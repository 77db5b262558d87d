import { ImageError } from '../../contract/errors.ts';
import type { PrepareSpec } from '../../contract/run.ts';
import { Semaphore } from '../batch/semaphore.ts';
import { withDeadline } from './deadline.ts';
import { toImageError } from './decode-error.ts';
import type { DecodeLimits } from './decoder.ts';
import { encodeRgb } from './encode-rgb.ts';
import { sizeWithShortSide } from './geometry.ts';
import { identifyImage } from './identify-image.ts';
import type { ImageFormat } from './image-format.ts';
import { configureLibvips } from './libvips.ts';
import type { Size } from './orientation.ts';
import { openImage, renderPart } from './render-part.ts';
import type { DecoderOptions } from './sharp-decoder.ts';
import { readPlainPng, rgbOfRows } from './small-png.ts';

/** Longest side of a prepared image: what JPEG can say is 65,535, and libjpeg writes up to this. */
const MAX_PREPARED_SIDE = 65_500;

export interface PreparedImage {
  /** Encoded, without metadata. */
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** (height, width, 3) uint8 RGB, as they were encoded. */
  readonly pixels: Uint8Array;
}

export type PrepareImageOptions = Pick<PrepareSpec, 'shortSide' | 'encoding'>;

/** Makes training images. */
export interface ImagePreparer {
  /**
   * Decodes an image as the decoder of the pipelines does (orientation applied, alpha dropped, always RGB), reduces
   * its shorter side to `shortSide` pixels, antialiased, and encodes it again. A smaller image keeps its size; a small
   * PNG that is to become the very same PNG stays as it is.
   * After IMAGE_TIMEOUT the library may still be reading `bytes`: they must not be written to or transferred.
   * @param onTurn called when the image's turn has come, after other images
   * @throws ImageError as `Decoder.decode`
   */
  prepare(bytes: Uint8Array, options: PrepareImageOptions, onTurn?: () => void): Promise<PreparedImage>;
}

export function createImagePreparer({ limits, concurrency }: DecoderOptions): ImagePreparer {
  const slots = new Semaphore(concurrency);
  configureLibvips();
  return {
    async prepare(bytes, options, onTurn) {
      const format = identifyImage(bytes, limits);
      const plain = format === 'png' && options.encoding === 'png' ? readPlainPng(bytes) : undefined;
      if (plain !== undefined && staysAsItIs(plain, options.shortSide, limits)) {
        return { bytes, width: plain.width, height: plain.height, pixels: rgbOfRows(plain) };
      }
      await slots.acquire();
      onTurn?.();
      // One that timed out keeps its slot until libvips lets go of the thread, so that the number of threads stays bounded.
      const work = prepareImage(bytes, { ...options, format, limits }).finally(() => slots.release());
      return withDeadline(work, limits.timeoutMs);
    },
  };
}

function staysAsItIs({ width, height }: Size, shortSide: number, { maxPixels }: DecodeLimits): boolean {
  return Math.min(width, height) <= shortSide && width * height <= maxPixels;
}

async function prepareImage(
  bytes: Uint8Array,
  options: PrepareImageOptions & { readonly format: ImageFormat; readonly limits: DecodeLimits },
): Promise<PreparedImage> {
  const { format, limits, shortSide, encoding } = options;
  try {
    const image = await openImage(bytes, format, limits);
    const size = preparedSize(image.shown, shortSide);
    const pixels = await renderPart(image, {
      resized: size,
      part: { left: 0, top: 0, ...size },
      interpolation: 'bilinear',
    });
    return { bytes: await encodeRgb(pixels, size, encoding), ...size, pixels };
  } catch (error) {
    throw toImageError(error, format);
  }
}

function preparedSize(shown: Size, shortSide: number): Size {
  const isSmall = Math.min(shown.width, shown.height) <= shortSide;
  const size = isSmall ? shown : sizeWithShortSide(shown, shortSide);
  if (Math.max(size.width, size.height) <= MAX_PREPARED_SIDE) return size;
  throw new ImageError(
    'IMAGE_TOO_MANY_PIXELS',
    `expected sides of at most ${MAX_PREPARED_SIDE} pixels after resizing, got ${size.width}×${size.height}`,
  );
}
