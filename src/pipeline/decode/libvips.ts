import sharp from 'sharp';
import type { FailOnOptions, KernelEnum, Sharp } from 'sharp';
import type { Preprocessing } from '../../contract/model-card.ts';
import { readJpegHeader } from './jpeg-header.ts';
import type { ImageFormat } from './image-format.ts';
import { asOrientation, TURNS } from './orientation.ts';
import type { Orientation, Rectangle, Size } from './orientation.ts';
import { withOwnErrors } from './own-errors.ts';
import { CHANNELS, convertCmykToRgb, takeOddPixels } from './pixels.ts';

/** What has to be known of an image before it is decoded. */
export interface ImageHeader {
  /** As stored, before EXIF orientation. */
  readonly stored: Size;
  readonly orientation: Orientation;
  readonly hasAlpha: boolean;
  readonly isCmyk: boolean;
}

/** One rendering: the whole image resized, of which a part is computed. All sizes as stored. */
export interface RenderRequest {
  readonly bytes: Uint8Array;
  readonly header: ImageHeader;
  readonly resized: Size;
  readonly part: Rectangle;
  readonly interpolation: Preprocessing['interpolation'];
  readonly failOn: FailOnOptions;
  readonly timeoutMs: number;
}

const KERNELS: Record<Preprocessing['interpolation'], keyof KernelEnum> = {
  bilinear: 'linear',
  bicubic: 'cubic',
  lanczos: 'lanczos3',
  nearest: 'nearest',
};

/** Loaders that may run; the rest (SVG, PDF, vips' own formats, Ultra HDR's gain maps) are switched off. */
const LOADERS = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Tiff', 'Heif'].map((name) => `VipsForeignLoad${name}`);

const MAX_LIBVIPS_TIMEOUT_S = 3600;

/** Settings of the whole process. Safe to call again. */
export function configureLibvips(): void {
  // Every image is decoded once: a cache only holds memory. Parallelism is across images, not within one.
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS });
}

/** Reads sizes and kind; decodes no pixels. */
export async function readHeader(bytes: Uint8Array, format: ImageFormat): Promise<ImageHeader> {
  const jpeg = format === 'jpeg' ? readJpegHeader(bytes) : undefined;
  if (jpeg !== undefined) {
    const { width, height, orientation } = jpeg;
    return { stored: { width, height }, orientation, hasAlpha: false, isCmyk: jpeg.components === 4 };
  }
  // The limit is checked by the caller, who can then name the size.
  const metadata = await withOwnErrors(() => sharp(bytes, { limitInputPixels: false }).metadata());
  return {
    stored: { width: metadata.width, height: metadata.height },
    orientation: asOrientation(metadata.orientation),
    hasAlpha: metadata.hasAlpha,
    isCmyk: metadata.space === 'cmyk',
  };
}

/**
 * Decodes, resizes and cuts out one part.
 * @returns (part.height, part.width, 3) uint8 RGB, as stored
 */
export function render(request: RenderRequest): Promise<Uint8Array> {
  return withOwnErrors(() => renderOnce(request));
}

async function renderOnce(request: RenderRequest): Promise<Uint8Array> {
  const { header, resized, part, interpolation, timeoutMs } = request;
  const zoom = {
    x: resized.width > header.stored.width ? 2 : 1,
    y: resized.height > header.stored.height ? 2 : 1,
  };
  const source = header.hasAlpha && !header.isCmyk ? await openOpaque(request) : open(request);
  const { data, info } = await source
    .resize({
      width: resized.width * zoom.x,
      height: resized.height * zoom.y,
      fit: 'fill',
      kernel: KERNELS[interpolation],
      // libjpeg's own scaling by 2, 4 or 8 leaves at least a factor of two to the antialiased resize: off, a sixth of
      // the size differs from Pillow by half as much as on.
      fastShrinkOnLoad: false,
    })
    .extract({
      left: part.left * zoom.x,
      top: part.top * zoom.y,
      width: part.width * zoom.x,
      height: part.height * zoom.y,
    })
    .removeAlpha()
    .toColourspace(header.isCmyk ? 'cmyk' : 'srgb')
    .timeout({ seconds: toSeconds(timeoutMs) })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const channels = header.isCmyk ? 4 : CHANNELS;
  if (info.channels !== channels) {
    throw new Error(`expected ${channels} colour channels, got ${info.channels}`);
  }
  const pixels = zoom.x * zoom.y === 1 ? data : takeOddPixels(data, part, zoom, channels);
  return header.isCmyk ? convertCmykToRgb(pixels) : pixels;
}

/** Turns stored pixels (size.height, size.width, 3) into shown ones. */
export async function turnPixels(
  pixels: Uint8Array,
  size: Size,
  orientation: Orientation,
): Promise<Uint8Array> {
  const { mirror, flip, clockwise } = TURNS[orientation];
  return withOwnErrors(() =>
    sharp(pixels, { raw: { ...size, channels: CHANNELS } })
      .flop(mirror)
      .flip(flip)
      .rotate(clockwise)
      .raw()
      .toBuffer(),
  );
}

function open({ bytes, header, failOn }: RenderRequest): Sharp {
  const image = sharp(bytes, {
    failOn,
    // The caller has checked the size; this holds libvips to what the header said.
    limitInputPixels: header.stored.width * header.stored.height,
    // Like Pillow and torchvision, which the models were trained with: pixels as stored, no profile applied.
    ignoreIcc: true,
  });
  return header.isCmyk ? image.pipelineColourspace('cmyk') : image;
}

/**
 * Drops alpha and keeps the colour beneath, as Pillow's convert('RGB') does. libvips would premultiply when it
 * resizes, so the whole image is decoded first: width × height × 3 bytes, for images with alpha only.
 */
async function openOpaque(request: RenderRequest): Promise<Sharp> {
  const { data, info } = await open(request)
    .removeAlpha()
    .toColourspace('srgb')
    .timeout({ seconds: toSeconds(request.timeoutMs) })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return sharp(data, {
    raw: { width: info.width, height: info.height, channels: info.channels },
    limitInputPixels: false,
  });
}

function toSeconds(milliseconds: number): number {
  return Math.min(MAX_LIBVIPS_TIMEOUT_S, Math.ceil(milliseconds / 1000));
}
