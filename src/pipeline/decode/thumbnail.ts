import sharp from 'sharp';
import { Semaphore } from '../batch/semaphore.ts';
import { withDeadline } from './deadline.ts';
import { toImageError } from './decode-error.ts';
import type { DecodeLimits } from './decoder.ts';
import { identifyImage } from './identify-image.ts';
import { configureLibvips } from './libvips.ts';
import type { Size } from './orientation.ts';
import { withOwnErrors } from './own-errors.ts';
import { CHANNELS } from './pixels.ts';
import { openImage, renderPart } from './render-part.ts';
import type { DecoderOptions } from './sharp-decoder.ts';

const WEBP_QUALITY = 80;

/** Makes small pictures of images, to look at. */
export interface Thumbnailer {
  /**
   * Decodes an image as the decoder of the pipelines does, with its limits (orientation applied, alpha dropped, RGB),
   * and fits it into a square; a smaller one keeps its size.
   * After IMAGE_TIMEOUT the library may still be reading `bytes`: they must not be written to or transferred.
   * @param sidePx of the square
   * @returns WebP, without metadata
   * @throws ImageError as `Decoder.decode`
   */
  thumbnail(bytes: Uint8Array, sidePx: number): Promise<Uint8Array>;
}

export function createThumbnailer({ limits, concurrency }: DecoderOptions): Thumbnailer {
  const slots = new Semaphore(concurrency);
  configureLibvips();
  return {
    async thumbnail(bytes, sidePx) {
      await slots.acquire();
      // One that timed out keeps its slot until libvips lets go of the thread, so that the number of threads stays bounded.
      const work = makeThumbnail(bytes, sidePx, limits).finally(() => slots.release());
      return withDeadline(work, limits.timeoutMs);
    },
  };
}

async function makeThumbnail(bytes: Uint8Array, sidePx: number, limits: DecodeLimits): Promise<Uint8Array> {
  const format = identifyImage(bytes, limits);
  try {
    const image = await openImage(bytes, format, limits);
    const size = fittedSize(image.shown, sidePx);
    const part = { left: 0, top: 0, ...size };
    const pixels = await renderPart(image, { resized: size, part, interpolation: 'bilinear' });
    const encoder = sharp(pixels, { raw: { ...size, channels: CHANNELS } }).webp({ quality: WEBP_QUALITY });
    return await withOwnErrors(() => encoder.toBuffer());
  } catch (error) {
    throw toImageError(error, format);
  }
}

/** The size of an image after its longer side became `sidePx`, if it was longer; no side vanishes. */
export function fittedSize({ width, height }: Size, sidePx: number): Size {
  const scale = Math.min(1, sidePx / Math.max(width, height));
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}
