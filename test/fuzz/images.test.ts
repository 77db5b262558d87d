import { crc32, deflateSync } from 'node:zlib';
import { expect } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { describeContent, sniffImageFormat } from '../../src/pipeline/decode/image-format.ts';
import { checkPixels, identifyImage } from '../../src/pipeline/decode/identify-image.ts';
import { hasJpegEnd, readJpegHeader, type JpegHeader } from '../../src/pipeline/decode/jpeg-header.ts';
import { toStoredRectangle, turnSize } from '../../src/pipeline/decode/orientation.ts';
import {
  readPlainPng,
  readPngHeader,
  readSmallPng,
  rgbOfRows,
  SMALL_IMAGE_PIXELS,
  type PngRows,
} from '../../src/pipeline/decode/small-png.ts';
import { endOfValues, readFirstDirectory, readValue } from '../../src/pipeline/decode/tiff-directory.ts';
import { findTruncation } from '../../src/pipeline/decode/truncation.ts';
import { pngChunk } from '../pipeline/decode/png-chunks.ts';
import { HTML_BYTES, makeEveryFormat, makeJpeg, makePng, makeTiff, SVG_BYTES } from '../support/images.ts';
import { fuzz, type Parser } from './support.ts';

const LIMITS = { maxBytes: 100_000, maxPixels: 1_000_000, timeoutMs: 1_000 } as unknown as Parameters<
  typeof identifyImage
>[1];
const SIZE = { width: 24, height: 16 };

const formats = await makeEveryFormat(SIZE);
const jpegs = {
  plain: await makeJpeg(SIZE),
  turned: await makeJpeg({ ...SIZE, orientation: 6 }),
};
const pngs = { rgb: await makePng(SIZE), grey: await makePng({ ...SIZE, kind: 'grey' }) };
const tiffs = { tiff: await makeTiff(SIZE), big: bigTiff() };

const MARKERS = [
  '\xff\xd8',
  '\xff\xc0\x00\x0b\x08',
  '\xff\xe1\x00\x40Exif\0\0II*\0',
  '\xff\xda',
  '\xff\xff',
  '\xff\xd9',
];
const CHUNKS = [
  pngChunk('IDAT', deflateSync(new Uint8Array(100))),
  pngChunk('IEND'),
  pngChunk('tRNS', new Uint8Array(6)),
];
const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** What is asked of every object of a collection before a decoder sees it. */
const IDENTIFY: Parser<string> = {
  name: 'image',
  codes: ['IMAGE_EMPTY', 'IMAGE_TOO_MANY_BYTES', 'IMAGE_FORMAT_UNKNOWN'],
  parse: (bytes) => identifyImage(bytes, LIMITS),
  check: (format, bytes) => {
    expect(sniffImageFormat(bytes)).toBe(format);
    const missing = findTruncation(format as never, bytes);
    expect(['string', 'undefined']).toContain(typeof missing);
  },
};

fuzz(IDENTIFY, {
  seeds: formats,
  words: ['ftypavif', 'RIFF\xff\xff\xff\xffWEBP', 'II*\0', ...MARKERS].map(latin1),
  runs: 2_000,
});

fuzz(
  {
    name: 'image',
    codes: [],
    parse: describeContent,
    check: (text) => expect(text).toMatch(/^[\x20-\x7e]{3,60}$/),
  },
  {
    seeds: { html: HTML_BYTES, svg: SVG_BYTES, heic: latin1('\0\0\0\x18ftypheic\0\0\0\0mif1heic') },
    refusesNothing: true,
  },
);

/** A refusal without a word, for parsers that leave what they cannot read to libvips. */
function orRefuse<T>(value: T | undefined): T {
  if (value === undefined) throw new ImagemillError('IMAGE_CORRUPT', 'left to the decoder');
  return value;
}

const JPEG: Parser<JpegHeader> = {
  name: 'jpeg',
  codes: ['IMAGE_CORRUPT', 'IMAGE_TOO_MANY_PIXELS'],
  parse: (bytes) => {
    const header = orRefuse(readJpegHeader(bytes));
    checkPixels(header, LIMITS);
    return header;
  },
  check: (header, bytes) => {
    for (const side of [header.width, header.height]) expect(side > 0 && side < 65_536).toBe(true);
    expect(header.scanOffset).toBeLessThan(bytes.length);
    expect([1, 2, 3, 4, 5, 6, 7, 8]).toContain(header.orientation);
    expect(typeof hasJpegEnd(bytes, header)).toBe('boolean');
    const shown = turnSize(header, header.orientation);
    const whole = toStoredRectangle({ left: 0, top: 0, ...shown }, shown, header.orientation);
    expect(whole).toEqual({ left: 0, top: 0, width: header.width, height: header.height });
  },
};
fuzz(JPEG, { seeds: jpegs, words: MARKERS.map(latin1), runs: 2_000 });

const PNG: Parser<PngRows> = {
  name: 'png',
  codes: ['IMAGE_CORRUPT'],
  parse: (bytes) => orRefuse(readSmallPng(bytes)),
  check: (png, bytes) => {
    const { width, height, channels, rows } = png;
    expect(width * height).toBeGreaterThan(0);
    expect(width * height).toBeLessThanOrEqual(SMALL_IMAGE_PIXELS);
    expect(rows.length).toBe(height * (1 + width * channels));
    expect(rgbOfRows(png).length).toBe(width * height * 3);
    expect(readPngHeader(bytes)).toMatchObject({ width, height });
    readPlainPng(bytes);
  },
};
fuzz(PNG, { seeds: pngs, words: CHUNKS, repair: withPngChecksums, runs: 2_000 });

const TIFF: Parser<unknown> = {
  name: 'tiff',
  codes: ['IMAGE_CORRUPT'],
  parse: (bytes) => {
    const directory = orRefuse(readFirstDirectory(bytes));
    for (const entry of directory.entries.values()) {
      expect(endOfValues(entry)).toBeGreaterThanOrEqual(0);
      for (const index of [0, 1, entry.count - 1, entry.count, 2 ** 31]) {
        const value = readValue(directory, entry, index);
        expect(value === undefined || value >= 0).toBe(true);
      }
    }
    return findTruncation('tiff', bytes) ?? null;
  },
};
fuzz(TIFF, {
  seeds: tiffs,
  words: ['II+\0\x08\0\0\0', 'MM\0*', '\x11\x01\x10\0', '\x11\x01\x04\0'].map(latin1),
  runs: 2_000,
});

/** Every chunk with the checksum of what is in it. */
function withPngChecksums(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  for (let at = 8; at + 12 <= copy.length;) {
    const end = at + 12 + view.getUint32(at);
    if (end > copy.length) break;
    view.setUint32(end - 4, crc32(copy.subarray(at + 4, end - 4)));
    at = end;
  }
  return copy;
}

/** A BigTIFF with one strip, which libvips writes only for images of gigabytes. */
function bigTiff(): Uint8Array {
  const entries = [
    [256, 3, 1, 2],
    [257, 3, 1, 2],
    [273, 16, 1, 200],
    [279, 16, 1, 12],
  ] as const;
  const file = Buffer.alloc(212);
  file.write('II+\0\x08\0\0\0', 0, 'latin1');
  file.writeBigUInt64LE(16n, 8);
  file.writeBigUInt64LE(BigInt(entries.length), 16);
  for (const [index, [tag, type, count, value]] of entries.entries()) {
    const at = 24 + index * 20;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeBigUInt64LE(BigInt(count), at + 4);
    file.writeBigUInt64LE(BigInt(value), at + 12);
  }
  return new Uint8Array(file);
}
