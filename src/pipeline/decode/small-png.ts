import { crc32, inflateSync } from 'node:zlib';
import type { Size } from './orientation.ts';

/** What the IHDR chunk of a PNG says (ISO/IEC 15948, 11.2.2). */
interface PngHeader extends Size {
  readonly bitDepth: number;
  readonly colourType: number;
  readonly isInterlaced: boolean;
}

/** Pixels as a PNG holds them. */
export interface PngRows extends Size {
  /** 1 grey, 3 RGB. */
  readonly channels: 1 | 3;
  /** (height, 1 + width × channels) uint8: the first byte of a row is its filter type, which is 0 */
  readonly rows: Uint8Array;
}

/** Stored pixels of an image that is inflated on the calling thread, in tens of microseconds. */
export const SMALL_IMAGE_PIXELS = 64 * 64;

const SIGNATURE_BYTES = 8;
/** Length, type and checksum. */
const CHUNK_FRAME_BYTES = 12;
const IHDR_BYTES = 13;
const COLOUR_TYPE_CHANNELS = new Map<number, 1 | 3>([
  [0, 1],
  [2, 3],
]);

/** @returns undefined where the bytes do not start as a PNG does */
export function readPngHeader(bytes: Uint8Array): PngHeader | undefined {
  const start = SIGNATURE_BYTES + CHUNK_FRAME_BYTES - 4;
  if (bytes.length < start + IHDR_BYTES || chunkType(bytes, SIGNATURE_BYTES) !== 'IHDR') return undefined;
  const view = viewOf(bytes);
  return {
    width: view.getUint32(start),
    height: view.getUint32(start + 4),
    bitDepth: view.getUint8(start + 8),
    colourType: view.getUint8(start + 9),
    isInterlaced: view.getUint8(start + 12) !== 0,
  };
}

/** Chunks of these types, or one more than `most` where there are more than that. */
export function countPngChunks(bytes: Uint8Array, types: ReadonlySet<string>, most: number): number {
  const view = viewOf(bytes);
  let count = 0;
  for (let at = SIGNATURE_BYTES; at + CHUNK_FRAME_BYTES <= bytes.length && count <= most;) {
    if (types.has(chunkType(bytes, at))) count += 1;
    at += CHUNK_FRAME_BYTES + view.getUint32(at);
  }
  return count;
}

/**
 * Reads the rows of a small PNG without libvips, which takes 1 ms for what zlib does in 30 µs.
 * @returns undefined where the image is not small, or its rows are not plain pixels (another bit depth, a palette,
 *   alpha, interlacing, filtered rows), or anything about it is wrong: libvips then decodes it, or says why it cannot
 */
export function readSmallPng(bytes: Uint8Array): PngRows | undefined {
  const header = readPngHeader(bytes);
  if (header === undefined) return undefined;
  const { width, height, bitDepth, colourType, isInterlaced } = header;
  const pixels = width * height;
  // Without pixels in a row, the other side could be any size.
  if (pixels === 0 || pixels > SMALL_IMAGE_PIXELS) return undefined;
  const channels = COLOUR_TYPE_CHANNELS.get(colourType);
  if (channels === undefined || bitDepth !== 8 || isInterlaced) return undefined;
  const data = readImageData(bytes);
  if (data === undefined) return undefined;
  const rowBytes = 1 + width * channels;
  const rows = inflate(data, rowBytes * height);
  if (rows === undefined) return undefined;
  for (let at = 0; at < rows.length; at += rowBytes) {
    if (rows[at] !== 0) return undefined;
  }
  return { width, height, channels, rows };
}

/** Chunks of an image that is nothing but its pixels. */
const PLAIN_CHUNKS = new Set(['IHDR', 'IDAT', 'IEND']);

/**
 * Reads the rows of a small PNG that has neither metadata nor an orientation: one that need not be encoded again.
 * @returns undefined as {@link readSmallPng}
 */
export function readPlainPng(bytes: Uint8Array): PngRows | undefined {
  const rows = readSmallPng(bytes);
  if (rows === undefined) return undefined;
  const view = viewOf(bytes);
  let at = SIGNATURE_BYTES;
  while (at + CHUNK_FRAME_BYTES <= bytes.length) {
    if (!PLAIN_CHUNKS.has(chunkType(bytes, at))) return undefined;
    at += CHUNK_FRAME_BYTES + view.getUint32(at);
  }
  return at === bytes.length ? rows : undefined;
}

/** The pixels of rows, grey three times: (height, width, 3) uint8. */
export function rgbOfRows({ width, height, channels, rows }: PngRows): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  const rowBytes = 1 + width * channels;
  for (let row = 0; row < height; row++) {
    const line = rows.subarray(row * rowBytes + 1, (row + 1) * rowBytes);
    if (channels === 3) pixels.set(line, row * width * 3);
    else
      line.forEach((grey, column) =>
        pixels.fill(grey, (row * width + column) * 3, (row * width + column + 1) * 3),
      );
  }
  return pixels;
}

/** The compressed pixels; undefined where a chunk is damaged or missing, or gives the pixels another meaning. */
function readImageData(bytes: Uint8Array): Uint8Array | undefined {
  const view = viewOf(bytes);
  const parts: Uint8Array[] = [];
  let at = SIGNATURE_BYTES;
  while (at + CHUNK_FRAME_BYTES <= bytes.length) {
    const end = at + CHUNK_FRAME_BYTES + view.getUint32(at);
    if (end > bytes.length) return undefined;
    if (crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) return undefined;
    const type = chunkType(bytes, at);
    if (type === 'tRNS') return undefined;
    if (type === 'IDAT') parts.push(bytes.subarray(at + 8, end - 4));
    if (type === 'IEND') return parts.length === 1 ? parts[0] : Buffer.concat(parts);
    at = end;
  }
  return undefined;
}

function inflate(data: Uint8Array, expectedBytes: number): Uint8Array | undefined {
  try {
    // A few kilobytes can inflate to gigabytes: what is more than expected is an error, not memory.
    const rows = inflateSync(data, {
      chunkSize: Math.max(64, expectedBytes + 1),
      maxOutputLength: expectedBytes,
    });
    return rows.length === expectedBytes ? rows : undefined;
  } catch {
    return undefined;
  }
}

function chunkType(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at + 4, at + 8));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
