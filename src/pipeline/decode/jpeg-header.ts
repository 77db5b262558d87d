import { asOrientation } from './orientation.ts';
import type { Orientation } from './orientation.ts';
import { readFirstDirectory, readValue } from './tiff-directory.ts';

/** What the segments before the first scan of a JPEG say (ITU-T T.81, annex B). */
export interface JpegHeader {
  /** As stored, before EXIF orientation. */
  readonly width: number;
  readonly height: number;
  /** 1 greyscale, 3 colour, 4 CMYK or YCCK. */
  readonly components: number;
  readonly orientation: Orientation;
  /** Of the first scan's marker, in bytes from the start. */
  readonly scanOffset: number;
}

/** Segments and fill bytes before the first scan; real files have tens. */
const MAX_SEGMENTS = 10_000;

const MARKER = { soi: 0xd8, eoi: 0xd9, sos: 0xda, app1: 0xe1 } as const;
const EXIF_SIGNATURE = Buffer.from('Exif\0\0', 'latin1');
const EXIF_ORIENTATION = 0x0112;
const EOI_BYTES = Buffer.from([0xff, MARKER.eoi]);

/**
 * Reads the size without a decoder, which takes microseconds where libvips takes a third of a millisecond.
 * @returns undefined where no frame header precedes a scan within the bytes
 */
export function readJpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  const buffer = asBuffer(bytes);
  let frame: { width: number; height: number; components: number } | undefined;
  let orientation: Orientation | undefined;
  let at = 2;
  for (let segments = 0; segments < MAX_SEGMENTS; segments++) {
    // Like libjpeg: whatever lies before the next marker is skipped, and so are fill bytes.
    at = buffer.indexOf(0xff, at);
    if (at < 0) return undefined;
    const marker = buffer[at + 1];
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === undefined || marker === MARKER.eoi) return undefined;
    if (marker === MARKER.sos) {
      return frame && { ...frame, orientation: orientation ?? 1, scanOffset: at };
    }
    if (!hasPayload(marker)) {
      at += 2;
      continue;
    }
    if (at + 4 > buffer.length) return undefined;
    const end = at + 2 + buffer.readUInt16BE(at + 2);
    if (end > buffer.length) return undefined;
    if (isFrame(marker) && end >= at + 10) {
      frame = {
        height: buffer.readUInt16BE(at + 5),
        width: buffer.readUInt16BE(at + 7),
        components: buffer.readUInt8(at + 9),
      };
    } else if (marker === MARKER.app1) {
      orientation ??= readExifOrientation(buffer.subarray(at + 4, end));
    }
    at = end;
  }
  return undefined;
}

/**
 * Whether an end-of-image marker follows the first scan. Inside a scan 0xFF is always escaped, so that a cut file has
 * none, while bytes after the image (padding, a second picture) do no harm.
 */
export function hasJpegEnd(bytes: Uint8Array, header: JpegHeader): boolean {
  return asBuffer(bytes).lastIndexOf(EOI_BYTES) > header.scanOffset;
}

/** Start of frame: 0xC0 to 0xCF but for DHT (C4), JPG (C8) and DAC (CC). */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** TEM, restart markers, SOI and the escaped zero stand alone. */
function hasPayload(marker: number): boolean {
  return marker > 0x01 && !(marker >= 0xd0 && marker <= MARKER.soi);
}

function readExifOrientation(segment: Buffer): Orientation | undefined {
  if (!segment.subarray(0, EXIF_SIGNATURE.length).equals(EXIF_SIGNATURE)) return undefined;
  const directory = readFirstDirectory(segment.subarray(EXIF_SIGNATURE.length));
  const entry = directory?.entries.get(EXIF_ORIENTATION);
  if (directory === undefined || entry === undefined) return undefined;
  return asOrientation(readValue(directory, entry, 0));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
