import sharp from 'sharp';
import type { Sharp } from 'sharp';
import { ImageError, ImagemillError } from '../../contract/errors.ts';
import { withDeadline } from './deadline.ts';
import { toImageError } from './decode-error.ts';
import { DEFAULT_DECODE_LIMITS } from './decoder.ts';
import { identifyImage } from './identify-image.ts';
import { FORMAT_NAMES } from './image-format.ts';
import type { ImageFormat } from './image-format.ts';
import { configureLibvips, readHeader } from './libvips.ts';
import type { Size } from './orientation.ts';
import { withOwnErrors } from './own-errors.ts';
import { isWholeImage, mirrorRectangle } from './pixel-geometry.ts';
import type { PixelGeometry } from './pixel-geometry.ts';
import { CHANNELS, takeOddPixels } from './pixels.ts';
import { rotatedWindow, withRoomToRotate } from './rotation.ts';
import { readPngHeader } from './small-png.ts';

export interface AugmentedDecodeOptions {
  /** RGB 0..255, for what a rotated window shows of the outside of the image. */
  readonly meanPixel: readonly [number, number, number];
}

const { timeoutMs } = DEFAULT_DECODE_LIMITS;
const MS_PER_SECOND = 1000;

/** A setting of the process, which may be made again. */
configureLibvips();

/**
 * Decodes a prepared image (JPEG or PNG) as the geometry says, in one libvips pipeline: crop, resize (bilinear,
 * antialiased where it reduces), rotation, mirror. Grey becomes RGB. Nothing is random here: equal arguments give equal
 * pixels.
 *
 * A rotation shows what lies beside the crop where the image has it, so corners are lost at the edge of the image only;
 * libvips rotates bilinearly, and the centre of the window stays where it was to within a pixel.
 * `bytes` must not change until the promise settles, nor, after IMAGE_TIMEOUT, be reused at all.
 * @param target (window.height, window.width, 3) uint8: receives RGB
 * @throws ImageError IMAGE_EMPTY, IMAGE_FORMAT_UNKNOWN, IMAGE_TRUNCATED, IMAGE_CORRUPT (also where the image is not of
 *   the stored size), IMAGE_TOO_MANY_BYTES, IMAGE_TIMEOUT; ImagemillError INTERNAL where the target does not fit
 */
export async function decodeAugmented(
  bytes: Uint8Array,
  geometry: PixelGeometry,
  target: Uint8Array,
  options: AugmentedDecodeOptions,
): Promise<void> {
  const { width, height } = geometry.window;
  if (target.byteLength !== width * height * CHANNELS) {
    throw new ImagemillError(
      'INTERNAL',
      `expected room for ${width}×${height} RGB pixels to decode into, got ${target.byteLength} bytes`,
    );
  }
  const format = identifyImage(bytes, DEFAULT_DECODE_LIMITS);
  target.set(await withDeadline(renderAugmented(bytes, format, geometry, options), timeoutMs));
}

async function renderAugmented(
  bytes: Uint8Array,
  format: ImageFormat,
  geometry: PixelGeometry,
  options: AugmentedDecodeOptions,
): Promise<Uint8Array> {
  try {
    await checkStored(bytes, format, geometry.stored);
    return await (geometry.rotationDegrees === 0
      ? renderUpright(bytes, geometry)
      : renderRotated(bytes, geometry, options));
  } catch (error) {
    throw toImageError(error, format);
  }
}

/** Coordinates of the crop mean nothing in an image of another size. */
async function checkStored(bytes: Uint8Array, format: ImageFormat, expected: Size): Promise<void> {
  if (format !== 'jpeg' && format !== 'png') {
    throw new ImageError(
      'IMAGE_FORMAT_UNKNOWN',
      `expected a prepared image, which is JPEG or PNG, got ${FORMAT_NAMES[format]}`,
    );
  }
  const { width, height } =
    (format === 'png' ? readPngHeader(bytes) : undefined) ?? (await readHeader(bytes, format)).stored;
  if (width === expected.width && height === expected.height) return;
  throw new ImageError(
    'IMAGE_CORRUPT',
    `expected a prepared image of ${expected.width}×${expected.height} pixels, got one of ${width}×${height}`,
  );
}

async function renderUpright(bytes: Uint8Array, geometry: PixelGeometry): Promise<Uint8Array> {
  const { stored, crop, resized, mirrored } = geometry;
  const window = mirrored ? mirrorRectangle(geometry.window, resized.width) : geometry.window;
  // See takeOddPixels. A random part of an image has no exact place to begin with; half a pixel is not worth the time.
  const isWhole = isWholeImage(crop, stored);
  const zoom = {
    x: isWhole && resized.width > stored.width ? 2 : 1,
    y: isWhole && resized.height > stored.height ? 2 : 1,
  };
  const image = open(bytes, stored);
  const pixels = await toRgb(
    (isWhole ? image : image.extract({ ...crop }))
      .resize(resizeTo({ width: resized.width * zoom.x, height: resized.height * zoom.y }))
      .flop(mirrored)
      .extract({
        left: window.left * zoom.x,
        top: window.top * zoom.y,
        width: window.width * zoom.x,
        height: window.height * zoom.y,
      }),
  );
  if (zoom.x * zoom.y === 1) return pixels;
  return takeOddPixels(mirrored && zoom.x === 2 ? delayByOne(pixels) : pixels, window, zoom, CHANNELS);
}

/** Mirroring turned the odd columns into the even ones: moved on by one pixel, they are the odd ones again. */
function delayByOne(pixels: Uint8Array): Uint8Array {
  const delayed = new Uint8Array(CHANNELS + pixels.length);
  delayed.set(pixels, CHANNELS);
  return delayed;
}

async function renderRotated(
  bytes: Uint8Array,
  geometry: PixelGeometry,
  { meanPixel }: AugmentedDecodeOptions,
): Promise<Uint8Array> {
  const { stored, mirrored, rotationDegrees } = geometry;
  const { crop, resized, window } = withRoomToRotate(geometry);
  // libvips mirrors before it rotates: the same as rotating the other way and mirroring afterwards.
  const degrees = mirrored ? -rotationDegrees : rotationDegrees;
  const upright = mirrored ? mirrorRectangle(window, resized.width) : window;
  const [r, g, b] = meanPixel;
  const background = { r: Math.round(r), g: Math.round(g), b: Math.round(b) };
  const { part, beyond } = rotatedWindow(upright, resized, degrees);
  return toRgb(
    open(bytes, stored)
      // Before anything else: a grey image could only be filled with grey.
      .pipelineColourspace('srgb')
      .extract({ ...crop })
      .resize(resizeTo(resized))
      .flop(mirrored)
      .rotate(degrees, { background })
      .extract({ ...part })
      .extend({ ...beyond, background }),
  );
}

function open(bytes: Uint8Array, stored: Size): Sharp {
  return sharp(bytes, {
    failOn: 'warning',
    limitInputPixels: stored.width * stored.height,
    ignoreIcc: true,
  });
}

/** Sharp leaves an image of this size as it is. */
function resizeTo({ width, height }: Size) {
  return { width, height, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: false } as const;
}

async function toRgb(image: Sharp): Promise<Uint8Array> {
  const { data, info } = await withOwnErrors(() =>
    image
      .removeAlpha()
      .toColourspace('srgb')
      .timeout({ seconds: timeoutMs / MS_PER_SECOND })
      .raw()
      .toBuffer({ resolveWithObject: true }),
  );
  if (info.channels !== CHANNELS) {
    throw new Error(`expected ${CHANNELS} colour channels, got ${info.channels}`);
  }
  return data;
}
