/** Formats that are decoded. Everything else is refused by its first bytes and never reaches a decoder. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

/** Names for messages. */
export const FORMAT_NAMES: Record<ImageFormat, string> = {
  jpeg: 'JPEG',
  png: 'PNG',
  webp: 'WebP',
  gif: 'GIF',
  tiff: 'TIFF',
  avif: 'AVIF',
};

/** Bytes at the start of an object that are looked at to describe what it is. */
const SNIFF_BYTES = 1024;

/**
 * The format of an encoded image, by its magic bytes; names and content types are ignored.
 * @returns undefined where the bytes are none of {@link ImageFormat}
 */
export function sniffImageFormat(bytes: Uint8Array): ImageFormat | undefined {
  const head = latin1(bytes, 0, 16);
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'gif';
  if (head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP') return 'webp';
  if (/^(?:II[*+]\0|MM\0[*+])/.test(head)) return 'tiff';
  if (isoBrands(bytes).some((brand) => brand === 'avif' || brand === 'avis')) return 'avif';
  return undefined;
}

/** What bytes that are no supported image seem to be, as the end of "expected …, got …". */
export function describeContent(bytes: Uint8Array): string {
  const head = latin1(bytes, 0, 16);
  const known = MAGIC.find(([magic]) => head.startsWith(magic));
  if (known !== undefined) return known[1];
  const brands = isoBrands(bytes);
  if (brands.some((brand) => HEIC_BRANDS.has(brand))) return 'a HEIC image';
  if (brands.length > 0) return 'an MP4 or similar media file';
  if (head.slice(4, 8) === 'jP  ') return 'a JPEG 2000 image';
  if (head.slice(4, 8) === 'JXL ') return 'a JPEG XL image';
  return describeText(latin1(bytes, 0, SNIFF_BYTES)) ?? `${bytes.byteLength} bytes of an unknown kind`;
}

const HEIC_BRANDS = new Set(['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1']);

const MAGIC: readonly (readonly [string, string])[] = [
  ['BM', 'a BMP image'],
  ['\xff\x4f\xff\x51', 'a JPEG 2000 image'],
  ['\xff\x0a', 'a JPEG XL image'],
  ['8BPS', 'a Photoshop document'],
  ['\0\0\x01\0', 'a Windows icon'],
  ['%PDF-', 'a PDF document'],
  ['%!PS', 'a PostScript document'],
  ['PK\x03\x04', 'a ZIP archive'],
  ['\x1f\x8b', 'a gzip archive'],
];

function describeText(head: string): string | undefined {
  const text = head
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart()
    .toLowerCase();
  if (/^(?:<!doctype html|<html|<head|<body|<script|<title)/.test(text)) return 'an HTML document';
  if (/^<(?:\?xml|!--|!doctype|svg)/.test(text) && text.includes('<svg')) return 'an SVG drawing';
  if (text.startsWith('<?xml')) return 'an XML document';
  if (/^[\t\n\r\x20-\x7e]{8,}/.test(text)) return 'a text document';
  return undefined;
}

/** Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, `ftyp`); empty where it is none. */
function isoBrands(bytes: Uint8Array): string[] {
  if (latin1(bytes, 4, 8) !== 'ftyp') return [];
  const size = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  const payload = latin1(bytes, 8, Math.min(size, SNIFF_BYTES));
  const brands = [payload.slice(0, 4)];
  // Four bytes of minor version lie between the major brand and the compatible ones.
  for (let at = 8; at + 4 <= payload.length; at += 4) brands.push(payload.slice(at, at + 4));
  return brands;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  const stop = Math.min(end, bytes.byteLength);
  if (stop <= start) return '';
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, stop - start).toString('latin1');
}
