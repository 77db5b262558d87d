import { ImageError } from '../../contract/errors.ts';
import type { DecodeLimits } from './decoder.ts';
import { describeContent, sniffImageFormat } from './image-format.ts';
import type { ImageFormat } from './image-format.ts';
import type { Size } from './orientation.ts';

/**
 * The checks that need no decoder.
 * @throws ImageError IMAGE_EMPTY, IMAGE_TOO_MANY_BYTES, IMAGE_FORMAT_UNKNOWN
 */
export function identifyImage(bytes: Uint8Array, limits: DecodeLimits): ImageFormat {
  if (bytes.byteLength === 0) throw new ImageError('IMAGE_EMPTY', 'expected an image, got zero bytes');
  if (bytes.byteLength > limits.maxBytes) {
    throw new ImageError(
      'IMAGE_TOO_MANY_BYTES',
      `expected an image of at most ${limits.maxBytes} bytes, got ${bytes.byteLength}`,
    );
  }
  const format = sniffImageFormat(bytes);
  if (format === undefined) {
    throw new ImageError(
      'IMAGE_FORMAT_UNKNOWN',
      `expected JPEG, PNG, WebP, GIF, TIFF or AVIF, got ${describeContent(bytes)}`,
    );
  }
  return format;
}

/** @throws ImageError IMAGE_TOO_MANY_PIXELS, IMAGE_CORRUPT */
export function checkPixels({ width, height }: Size, limits: DecodeLimits): void {
  if (width * height === 0) {
    throw new ImageError('IMAGE_CORRUPT', `expected an image with pixels, got ${width}×${height}`);
  }
  if (width * height <= limits.maxPixels) return;
  throw new ImageError(
    'IMAGE_TOO_MANY_PIXELS',
    `expected an image of at most ${limits.maxPixels} pixels, got ${width}×${height} = ${width * height}`,
  );
}
