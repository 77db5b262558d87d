import { ImageError, ImagemillError } from '../../contract/errors.ts';
import type { Preprocessing } from '../../contract/model-card.ts';
import { Semaphore } from '../batch/semaphore.ts';
import { withDeadline } from './deadline.ts';
import { toImageError } from './decode-error.ts';
import type { DecodedImage, DecodeLimits, Decoder } from './decoder.ts';
import { coveredRectangle, planGeometry } from './geometry.ts';
import type { CropOrigin, Geometry } from './geometry.ts';
import { identifyImage } from './identify-image.ts';
import type { ImageFormat } from './image-format.ts';
import { configureLibvips } from './libvips.ts';
import type { Rectangle } from './orientation.ts';
import { CHANNELS, copyCrop } from './pixels.ts';
import { openImage, renderPart } from './render-part.ts';

export interface DecoderOptions {
  readonly limits: DecodeLimits;
  /** Images decoded at a time, 1 or more; more than UV_THREADPOOL_SIZE gains nothing. */
  readonly concurrency: number;
}

/**
 * Pixels of the resized image that are rendered at once for several crops (48 MB). Beyond it, with a panorama a
 * thousand times longer than high, each crop is decoded by itself.
 */
const MAX_RENDERED_PIXELS = 16_000_000;

/** Longer side after resizing; twice this is within what libvips can count. */
const MAX_RESIZED_SIDE = 40_000_000;

/** A part of the resized image, as shown. */
interface Rendering {
  readonly part: Rectangle;
  /** (part.height, part.width, 3) uint8 RGB */
  readonly pixels: Uint8Array;
  readonly origins: readonly CropOrigin[];
  /** Of the first of `origins` among all crops. */
  readonly firstCrop: number;
}

/**
 * Decodes JPEG, PNG, WebP, GIF (first frame), TIFF (first page) and AVIF with libvips.
 *
 * Writes RGB whatever `channelOrder` says: the graph swaps channels. `bytes` must not change until the promise
 * settles, nor, after IMAGE_TIMEOUT, be reused at all: libvips may still be reading them.
 */
export function createSharpDecoder(options: DecoderOptions): Decoder {
  const { limits } = options;
  const slots = new Semaphore(options.concurrency);
  configureLibvips();

  async function decode(
    bytes: Uint8Array,
    preprocessing: Preprocessing,
    target: Uint8Array,
    onTurn?: () => void,
  ): Promise<DecodedImage> {
    const format = identifyImage(bytes, limits);
    const crops = countCrops(preprocessing, target);
    await slots.acquire();
    onTurn?.();
    // A timed out decode keeps its slot until libvips lets go of the thread, so that the number of threads stays bounded.
    const work = renderCrops({ bytes, format, preprocessing, crops, limits }).finally(() => slots.release());
    const { shown, geometry, renderings } = await withDeadline(work, limits.timeoutMs);

    const cropBytes = geometry.crop.width * geometry.crop.height * CHANNELS;
    for (const { pixels, part, origins, firstCrop } of renderings) {
      origins.forEach((origin, index) => {
        const start = (firstCrop + index) * cropBytes;
        copyCrop(pixels, part, geometry, origin, target.subarray(start, start + cropBytes));
      });
    }
    return shown;
  }

  return { decode };
}

/** One image on its way through the decoder. */
interface Task {
  readonly bytes: Uint8Array;
  readonly format: ImageFormat;
  readonly preprocessing: Preprocessing;
  readonly crops: 1 | 5;
  readonly limits: DecodeLimits;
}

async function renderCrops(
  task: Task,
): Promise<{ shown: DecodedImage; geometry: Geometry; renderings: Rendering[] }> {
  const { bytes, format, limits } = task;
  try {
    const image = await openImage(bytes, format, limits);
    const { shown } = image;
    const geometry = planGeometry(shown, task.preprocessing, task.crops);
    checkResized(geometry);
    const renderings: Rendering[] = [];
    for (const { origins, firstCrop } of groupCrops(geometry)) {
      const part = coveredRectangle(geometry, origins);
      const pixels = await renderPart(image, {
        resized: geometry.resized,
        part,
        interpolation: task.preprocessing.interpolation,
      });
      renderings.push({ part, pixels, origins, firstCrop });
    }
    return { shown, geometry, renderings };
  } catch (error) {
    throw toImageError(error, format);
  }
}

function checkResized({ resized }: Geometry): void {
  if (Math.max(resized.width, resized.height) <= MAX_RESIZED_SIDE) return;
  throw new ImageError(
    'IMAGE_TOO_MANY_PIXELS',
    `expected sides of at most ${MAX_RESIZED_SIDE} pixels after resizing, got ${resized.width}×${resized.height}`,
  );
}

/** All crops in one rendering where that is small enough, else each in one of its own. */
function groupCrops(geometry: Geometry): Pick<Rendering, 'origins' | 'firstCrop'>[] {
  const { width, height } = coveredRectangle(geometry, geometry.origins);
  if (width * height <= MAX_RENDERED_PIXELS) return [{ origins: geometry.origins, firstCrop: 0 }];
  return geometry.origins.map((origin, firstCrop) => ({ origins: [origin], firstCrop }));
}

/** @throws ImagemillError INTERNAL where the target fits neither one crop nor five */
function countCrops({ crop }: Preprocessing, target: Uint8Array): 1 | 5 {
  const cropBytes = crop.height * crop.width * CHANNELS;
  if (target.byteLength === cropBytes) return 1;
  if (target.byteLength === 5 * cropBytes) return 5;
  throw new ImagemillError(
    'INTERNAL',
    `expected room for 1 or 5 crops of ${cropBytes} bytes each to decode into, got ${target.byteLength} bytes`,
  );
}
