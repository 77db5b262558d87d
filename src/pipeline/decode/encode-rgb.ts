import sharp from 'sharp';
import type { Size } from './orientation.ts';
import { withOwnErrors } from './own-errors.ts';
import { CHANNELS } from './pixels.ts';

/** Above where artefacts are seen, at a third of the bytes of a lossless image. */
const JPEG_QUALITY = 92;

/**
 * Encodes RGB pixels without metadata. Equal pixels give equal bytes.
 * JPEG keeps colour at full resolution (4:4:4), since crops and rotations of training come after it; PNG is lossless.
 * @param pixels (height, width, 3) uint8
 */
export async function encodeRgb(
  pixels: Uint8Array,
  { width, height }: Size,
  encoding: 'jpeg' | 'png',
): Promise<Uint8Array> {
  const image = sharp(pixels, { raw: { width, height, channels: CHANNELS }, limitInputPixels: false });
  const encoded =
    encoding === 'jpeg'
      ? image.jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' })
      : image.toColourspace('srgb').png();
  return withOwnErrors(() => encoded.toBuffer());
}
