import type { ImageFormat } from './image-format.ts';
import { hasJpegEnd, readJpegHeader } from './jpeg-header.ts';
import { endOfValues, readFirstDirectory, readValue } from './tiff-directory.ts';

/**
 * Looks for the end of an image by the structure of its format, without decoding.
 *
 * A decoder alone does not tell: a centre crop never reads the last rows, and libvips reports a cut PNG or WebP like
 * any other damage. GIF needs no check, since libvips reads it whole and says what happened.
 * @returns what is missing (the end of "the image ends before …"), or undefined where the structure is complete or
 *   too damaged to tell
 */
export function findTruncation(format: ImageFormat, bytes: Uint8Array): string | undefined {
  return CHECKS[format](bytes);
}

const CHECKS: Record<ImageFormat, (bytes: Uint8Array) => string | undefined> = {
  jpeg: checkJpeg,
  png: checkPng,
  webp: checkWebp,
  tiff: checkTiff,
  avif: checkIsoBoxes,
  gif: () => undefined,
};

function checkJpeg(bytes: Uint8Array): string | undefined {
  const header = readJpegHeader(bytes);
  if (header === undefined) return 'its first scan';
  return hasJpegEnd(bytes, header) ? undefined : 'its end-of-image marker';
}

/** Chunks: length, type, payload, CRC. */
function checkPng(bytes: Uint8Array): string | undefined {
  const view = viewOf(bytes);
  const IEND = 0x49454e44;
  let at = 8;
  while (at + 12 <= view.byteLength) {
    const end = at + 12 + view.getUint32(at);
    if (end > view.byteLength) break;
    if (view.getUint32(at + 4) === IEND) return undefined;
    at = end;
  }
  return 'its IEND chunk';
}

function checkWebp(bytes: Uint8Array): string | undefined {
  const view = viewOf(bytes);
  const riffEnd = 8 + view.getUint32(4, true);
  return riffEnd > view.byteLength ? 'the end of its RIFF container' : undefined;
}

/** Strips or tiles that are checked; more than a hundred-megapixel image has in the smallest tiles. */
const MAX_TIFF_PIECES = 1_000_000;

/** TIFF 6.0 tags without whose values there is no image. Others, which cameras often get wrong, do no harm. */
const TIFF_TAG = {
  bitsPerSample: 258,
  stripOffsets: 273,
  stripByteCounts: 279,
  colorMap: 320,
  tileOffsets: 324,
  tileByteCounts: 325,
  sampleFormat: 339,
  jpegTables: 347,
} as const;

function checkTiff(bytes: Uint8Array): string | undefined {
  const directory = readFirstDirectory(bytes);
  if (directory === undefined) return 'its directory';
  for (const tag of Object.values(TIFF_TAG)) {
    const entry = directory.entries.get(tag);
    if (entry !== undefined && endOfValues(entry) > bytes.byteLength) return `the values of tag ${tag}`;
  }
  const offsets = directory.entries.get(TIFF_TAG.stripOffsets) ?? directory.entries.get(TIFF_TAG.tileOffsets);
  const counts =
    directory.entries.get(TIFF_TAG.stripByteCounts) ?? directory.entries.get(TIFF_TAG.tileByteCounts);
  if (offsets === undefined || counts === undefined) return undefined;
  const pieces = Math.min(offsets.count, counts.count, MAX_TIFF_PIECES);
  for (let index = 0; index < pieces; index++) {
    const end = (readValue(directory, offsets, index) ?? 0) + (readValue(directory, counts, index) ?? 0);
    if (end > bytes.byteLength) return `the end of strip or tile ${index + 1} of ${pieces}`;
  }
  return undefined;
}

/** Top-level boxes of an ISO base media file: size, type, payload. */
function checkIsoBoxes(bytes: Uint8Array): string | undefined {
  const view = viewOf(bytes);
  let at = 0;
  while (at < view.byteLength) {
    if (at + 8 > view.byteLength) return 'the end of a box';
    const short = view.getUint32(at);
    // Size 0 means "to the end of the file"; 1 that the size follows as 64 bits; 2 to 7 are impossible.
    if (short === 0) return undefined;
    if (short === 1 && at + 16 > view.byteLength) return 'the end of a box';
    const size = short === 1 ? Number(view.getBigUint64(at + 8)) : short;
    if (size < 8) return undefined;
    at += size;
  }
  return at > view.byteLength ? 'the end of a box' : undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
