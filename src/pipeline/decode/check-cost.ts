import { ImageError } from '../../contract/errors.ts';
import type { DecodeLimits } from './decoder.ts';
import { checkPixels } from './identify-image.ts';
import type { ImageFormat } from './image-format.ts';
import { countJpegScans, readJpegHeader } from './jpeg-header.ts';
import type { Size } from './orientation.ts';
import { countPngChunks, readPngHeader } from './small-png.ts';
import { countDirectories, readFirstDirectory, readValue } from './tiff-directory.ts';
import { readWebpCanvas } from './webp-header.ts';

/** Scans of a JPEG; encoders write 10 of a progressive one. Each costs a pass over the whole image. */
const MAX_JPEG_SCANS = 100;
/** Directories (pages) of a TIFF. libvips reads all of them, with no way to stop it, though only the first is wanted. */
const MAX_TIFF_DIRECTORIES = 10_000;

/** Chunks of a PNG that may be compressed. libpng inflates up to 8 MB of each, twice, with no way to stop it either. */
const MAX_PNG_TEXTS = 100;
const PNG_TEXTS = new Set(['zTXt', 'iTXt', 'iCCP']);

const TIFF_IMAGE_WIDTH = 256;
const TIFF_IMAGE_LENGTH = 257;

/**
 * Refuses what libvips would spend memory or time on before it says how large an image is, or where no deadline
 * stops it.
 * @throws ImageError IMAGE_TOO_MANY_PIXELS, IMAGE_CORRUPT
 */
export function checkCost(format: ImageFormat, bytes: Uint8Array, limits: DecodeLimits): void {
  const declared = DECLARED_SIZES[format](bytes);
  if (declared !== undefined) checkPixels(declared, limits);
  if (format === 'jpeg') checkScans(bytes);
  if (format === 'png' && countPngChunks(bytes, PNG_TEXTS, MAX_PNG_TEXTS) > MAX_PNG_TEXTS) {
    throw new ImageError('IMAGE_CORRUPT', `expected a PNG image of at most ${MAX_PNG_TEXTS} texts, got more`);
  }
  if (format === 'tiff' && countDirectories(bytes, MAX_TIFF_DIRECTORIES) > MAX_TIFF_DIRECTORIES) {
    throw new ImageError(
      'IMAGE_CORRUPT',
      `expected a TIFF image of at most ${MAX_TIFF_DIRECTORIES} pages, got more`,
    );
  }
}

/** The size as the first bytes say it; undefined where libvips tells it at no cost, or the bytes are damaged. */
const DECLARED_SIZES: Record<ImageFormat, (bytes: Uint8Array) => Size | undefined> = {
  jpeg: () => undefined,
  png: readPngHeader,
  webp: readWebpCanvas,
  tiff: readTiffSize,
  gif: () => undefined,
  avif: () => undefined,
};

function readTiffSize(bytes: Uint8Array): Size | undefined {
  const directory = readFirstDirectory(bytes);
  const width = directory?.entries.get(TIFF_IMAGE_WIDTH);
  const height = directory?.entries.get(TIFF_IMAGE_LENGTH);
  if (directory === undefined || width === undefined || height === undefined) return undefined;
  const size = { width: readValue(directory, width, 0), height: readValue(directory, height, 0) };
  return size.width === undefined || size.height === undefined
    ? undefined
    : { width: size.width, height: size.height };
}

function checkScans(bytes: Uint8Array): void {
  const header = readJpegHeader(bytes);
  if (header?.hasManyScans !== true) return;
  if (countJpegScans(bytes, header, MAX_JPEG_SCANS) <= MAX_JPEG_SCANS) return;
  throw new ImageError('IMAGE_CORRUPT', `expected a JPEG image of at most ${MAX_JPEG_SCANS} scans, got more`);
}
