import { ImageError } from '../../contract/errors.ts';
import type { Preprocessing } from '../../contract/model-card.ts';
import { checkCost } from './check-cost.ts';
import { classifyDecodeError } from './decode-error.ts';
import type { DecodeLimits } from './decoder.ts';
import { checkPixels } from './identify-image.ts';
import { FORMAT_NAMES, type ImageFormat } from './image-format.ts';
import { readHeader, render, turnPixels, type ImageHeader, type RenderRequest } from './libvips.ts';
import { toStoredRectangle, turnSize, type Rectangle, type Size } from './orientation.ts';
import { findTruncation } from './truncation.ts';

/** An image that is complete and within the limits, as far as its header tells. */
export interface OpenedImage {
  readonly bytes: Uint8Array;
  readonly format: ImageFormat;
  readonly limits: DecodeLimits;
  readonly header: ImageHeader;
  /** Pixels of the image as shown (after EXIF rotation). */
  readonly shown: Size;
}

/**
 * The checks before any pixel is decoded.
 * @throws ImageError IMAGE_TRUNCATED, IMAGE_TOO_MANY_PIXELS, IMAGE_CORRUPT; and libvips' own errors
 */
export async function openImage(
  bytes: Uint8Array,
  format: ImageFormat,
  limits: DecodeLimits,
): Promise<OpenedImage> {
  checkComplete(bytes, format);
  checkCost(format, bytes, limits);
  const header = await readHeader(bytes, format);
  checkPixels(header.stored, limits);
  return { bytes, format, limits, header, shown: turnSize(header.stored, header.orientation) };
}

function checkComplete(bytes: Uint8Array, format: ImageFormat): void {
  const missing = findTruncation(format, bytes);
  if (missing === undefined) return;
  throw new ImageError(
    'IMAGE_TRUNCATED',
    `expected a complete ${FORMAT_NAMES[format]} image, got ${bytes.byteLength} bytes that end before ${missing}`,
  );
}

/**
 * Decodes and resizes an image, and cuts out one part. Sizes and the part are those of the image as shown.
 * @returns (part.height, part.width, 3) uint8 RGB
 * @throws libvips' own errors
 */
export async function renderPart(
  { bytes, format, limits, header }: OpenedImage,
  request: {
    readonly resized: Size;
    readonly part: Rectangle;
    readonly interpolation: Preprocessing['interpolation'];
  },
): Promise<Uint8Array> {
  const { orientation } = header;
  const storedPart = toStoredRectangle(request.part, request.resized, orientation);
  const pixels = await renderTolerantly(
    {
      bytes,
      header,
      resized: turnSize(request.resized, orientation),
      part: storedPart,
      interpolation: request.interpolation,
      timeoutMs: limits.timeoutMs,
    },
    format,
  );
  return orientation === 1 ? pixels : turnPixels(pixels, storedPart, orientation);
}

/**
 * libjpeg only warns both when it skips stray bytes, which is harmless, and when it fills what is missing with grey.
 * So a JPEG stops at the first warning, and is decoded again without that where the warning was of the harmless kind.
 * Other libraries report missing data as errors.
 */
async function renderTolerantly(
  request: Omit<RenderRequest, 'failOn'>,
  format: ImageFormat,
): Promise<Uint8Array> {
  if (format !== 'jpeg') return render({ ...request, failOn: 'error' });
  try {
    return await render({ ...request, failOn: 'warning' });
  } catch (error) {
    if (error instanceof ImageError || classifyDecodeError(error) !== 'IMAGE_CORRUPT') throw error;
    return render({ ...request, failOn: 'error' });
  }
}
