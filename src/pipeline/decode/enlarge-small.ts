import sharp from 'sharp';
import type { Semaphore } from '../batch/semaphore.ts';
import { configureLibvips } from './libvips.ts';
import type { Rectangle, Size } from './orientation.ts';
import { withOwnErrors } from './own-errors.ts';
import { isWholeImage, mirrorRectangle } from './pixel-geometry.ts';
import type { PixelGeometry } from './pixel-geometry.ts';
import { CHANNELS } from './pixels.ts';
import type { PngRows } from './small-png.ts';

/** A small image on its way into a slot. */
export interface SmallImage {
  readonly image: PngRows;
  readonly geometry: PixelGeometry;
  /** (window.height, window.width, 3) uint8: receives RGB */
  readonly target: Uint8Array;
}

/** Pixels around each image in a mosaic, copies of its edge: bilinear interpolation looks no further. */
const MARGIN = 1;

/** Enlarged pixels of one mosaic: enough images that the fixed costs of a pipeline vanish, few enough to share the cores. */
const MOSAIC_BYTES = 2 * 1024 * 1024;

/**
 * libvips truncates where it samples to 1/4096 of a pixel. Where that falls on a boundary, the last bit of its
 * arithmetic would decide, which depends on where in the mosaic an image lies. Boundaries are 3e-8 apart from the
 * nearest other place of a sample, and the error is below 1e-11.
 */
const OFF_BOUNDARY = 1e-9;

/** A setting of the process, which may be made again. */
configureLibvips();

/** How one mosaic is laid out: images of one size below each other. */
interface Layout {
  readonly stored: Size;
  readonly resized: Size;
  readonly channels: 1 | 3;
  /** Rows from one image to the next: as many as become whole rows of the enlarged mosaic. */
  readonly pitch: number;
  readonly enlargedPitch: number;
  readonly scale: { readonly x: number; readonly y: number };
  readonly mirrored: boolean;
}

/** Whether {@link enlargeSmall} can do what the geometry says. */
export function isEnlargement({ stored, crop, resized, rotationDegrees }: PixelGeometry): boolean {
  const isLarger = resized.width >= stored.width && resized.height >= stored.height;
  return rotationDegrees === 0 && isWholeImage(crop, stored) && isLarger;
}

/**
 * Enlarges small images, many in one libvips pipeline: a pipeline costs 1 to 2 ms, which is ten times the work on an
 * image of 28 × 28 pixels. Bilinear, with pixel centres where the decoder of the pipelines has them. The pixels of an
 * image do not depend on the others.
 * @param images for each of them `isEnlargement` holds, and it is of the stored size
 * @param slots one is taken for each pipeline
 */
export async function enlargeSmall(images: readonly SmallImage[], slots: Semaphore): Promise<void> {
  const mosaics: Promise<void>[] = [];
  for (const group of groupBySize(images)) {
    const layout = planMosaic(group[0]);
    const perMosaic = Math.max(1, Math.floor(MOSAIC_BYTES / enlargedBytes(layout)));
    for (let first = 0; first < group.length; first += perMosaic) {
      const part = group.slice(first, first + perMosaic);
      mosaics.push(slots.run(() => enlargeMosaic(part, layout)));
    }
  }
  // Nothing may write to a target once this is over, also when one of them failed.
  const failed = (await Promise.allSettled(mosaics)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** What one libvips pipeline can do alike: the same sizes, channels, and mirror. */
function groupBySize(images: readonly SmallImage[]): Iterable<readonly [SmallImage, ...SmallImage[]]> {
  const groups = new Map<string, [SmallImage, ...SmallImage[]]>();
  for (const small of images) {
    const { stored, resized, mirrored } = small.geometry;
    const sizes = [stored.width, stored.height, resized.width, resized.height];
    const key = [...sizes, small.image.channels, mirrored].join();
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [small]);
    else group.push(small);
  }
  return groups.values();
}

function enlargedBytes({ enlargedPitch, resized }: Layout): number {
  return enlargedPitch * resized.width * CHANNELS;
}

function planMosaic({ image, geometry: { stored, resized, mirrored } }: SmallImage): Layout {
  const step = stored.height / greatestCommonDivisor(stored.height, resized.height);
  const pitch = Math.ceil((stored.height + 2 * MARGIN) / step) * step;
  return {
    stored,
    resized,
    channels: image.channels,
    pitch,
    enlargedPitch: (pitch / stored.height) * resized.height,
    scale: { x: resized.width / stored.width, y: resized.height / stored.height },
    mirrored,
  };
}

async function enlargeMosaic(images: readonly SmallImage[], layout: Layout): Promise<void> {
  const { scale, channels, mirrored } = layout;
  const { data, info } = await withOwnErrors(() =>
    sharp(layMosaic(images, layout), {
      raw: {
        width: layout.stored.width + 2 * MARGIN,
        height: layout.pitch * images.length,
        channels,
      },
      limitInputPixels: false,
    })
      .flop(mirrored)
      // Input pixel i becomes output pixel scale × (i + ½) − ½, moved so that an image starts at a whole pixel.
      .affine([scale.x, 0, 0, scale.y], {
        interpolator: 'bilinear',
        idx: 0.5 - OFF_BOUNDARY,
        idy: 0.5 - OFF_BOUNDARY,
        odx: -0.5 + Math.floor(MARGIN * scale.x) - MARGIN * scale.x,
        ody: -0.5 + Math.floor(MARGIN * scale.y) - MARGIN * scale.y,
      })
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true }),
  );
  if (info.channels !== CHANNELS) throw new Error(`expected ${CHANNELS} channels, got ${info.channels}`);
  const origin = { left: Math.floor(MARGIN * scale.x), top: Math.floor(MARGIN * scale.y) };
  for (const [index, { geometry, target }] of images.entries()) {
    const window = mirrored ? mirrorRectangle(geometry.window, layout.resized.width) : geometry.window;
    const top = index * layout.enlargedPitch + origin.top + window.top;
    copyRectangle(data, info.width, { ...window, left: origin.left + window.left, top }, target);
  }
}

/** @returns (images × pitch, stored.width + 2 × MARGIN, channels) uint8 */
function layMosaic(images: readonly SmallImage[], { stored, channels, pitch }: Layout): Uint8Array {
  const margin = MARGIN * channels;
  const imageRow = stored.width * channels;
  const mosaicRow = imageRow + 2 * margin;
  const mosaic = new Uint8Array(images.length * pitch * mosaicRow);
  for (const [index, { image }] of images.entries()) {
    const first = (index * pitch + MARGIN) * mosaicRow;
    for (let y = 0; y < stored.height; y++) {
      const from = y * (imageRow + 1) + 1;
      const to = first + y * mosaicRow;
      mosaic.set(image.rows.subarray(from, from + imageRow), to + margin);
      mosaic.copyWithin(to, to + margin, to + 2 * margin);
      mosaic.copyWithin(to + margin + imageRow, to + imageRow, to + imageRow + margin);
    }
    const last = first + (stored.height - 1) * mosaicRow;
    mosaic.copyWithin(first - mosaicRow, first, first + mosaicRow);
    mosaic.copyWithin(last + mosaicRow, last, last + mosaicRow);
  }
  return mosaic;
}

/** @param source (…, rowPixels, 3) uint8 */
function copyRectangle(
  source: Uint8Array,
  rowPixels: number,
  { left, top, width, height }: Rectangle,
  target: Uint8Array,
): void {
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * rowPixels + left) * CHANNELS;
    target.set(source.subarray(from, from + width * CHANNELS), y * width * CHANNELS);
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
