import { deflateSync } from 'node:zlib';
import { pngChunk } from '../../pipeline/decode/png-chunks.ts';
import { makePng, makePngBomb } from '../images.ts';
import { hostile, type HostileFile } from './hostile-file.ts';

const SIGNATURE_AND_HEADER_BYTES = 8 + 25;
const MEGABYTE = 1024 ** 2;

interface PngShape {
  readonly width: number;
  readonly height: number;
  readonly bitDepth?: 1 | 2 | 4 | 8 | 16;
  readonly colourType: 0 | 2 | 3 | 4 | 6;
  readonly interlaced?: boolean;
  /** Of the pixels before compression: zeros. */
  readonly dataBytes: number;
  readonly extra?: readonly Buffer[];
}

/** PNGs that are made to cost time or memory, or are rare enough to be got wrong. */
export async function hostilePngs(): Promise<HostileFile[]> {
  const plain = Buffer.from(await makePng({ width: 90, height: 70 }));
  const zeros = deflateSync(Buffer.alloc(128 * MEGABYTE));
  const text = (keyword: string) => Buffer.concat([Buffer.from(`${keyword}\0\0`, 'latin1'), zeros]);
  const international = Buffer.concat([Buffer.from('Comment\0\x01\0\0\0', 'latin1'), zeros]);
  return [
    hostile('png-50000-square.png', 'IMAGE_TOO_MANY_PIXELS', makePngBomb()),
    hostile('png-2-billion-square.png', 'IMAGE_TOO_MANY_PIXELS', makePngBomb(2 ** 31 - 1, 2 ** 31 - 1)),
    hostile('png-no-columns.png', 'IMAGE_CORRUPT', makePngBomb(0, 10)),
    hostile('png-81-megapixels-without-data.png', 'IMAGE_CORRUPT', makePngBomb(9_000, 9_000)),
    hostile('png-profile-of-128-mb.png', 'labelled', withChunks(plain, [pngChunk('iCCP', text('sRGB'))])),
    hostile('png-text-of-128-mb.png', 'labelled', withChunks(plain, [pngChunk('zTXt', text('Comment'))])),
    hostile('png-itext-of-128-mb.png', 'labelled', withChunks(plain, [pngChunk('iTXt', international)])),
    hostile(
      'png-texts-30.png',
      'labelled',
      withChunks(
        plain,
        Array.from({ length: 30 }, () => pngChunk('zTXt', text('Comment'))),
      ),
    ),
    hostile(
      'png-texts-1000.png',
      'IMAGE_CORRUPT',
      withChunks(plain, Array<Buffer>(1_000).fill(pngChunk('zTXt', deflatedText(8 * MEGABYTE)))),
    ),
    hostile('png-texts-100000.png', 'labelled', withChunks(plain, [shortTexts(100_000)])),
    hostile('png-unknown-chunks-500000.png', 'labelled', withChunks(plain, [emptyChunks(500_000)])),
    hostile('png-small-with-128-mb-of-pixels.png', 'labelled', small(zeros)),
    hostile(
      'png-1-bit.png',
      'labelled',
      pngOf({ width: 90, height: 70, bitDepth: 1, colourType: 0, dataBytes: 70 * 13 }),
    ),
    hostile(
      'png-2-bit-interlaced.png',
      'labelled',
      pngOf({ width: 8, height: 8, bitDepth: 2, colourType: 0, interlaced: true, dataBytes: 100 }),
    ),
    hostile(
      'png-palette-missing.png',
      'IMAGE_CORRUPT',
      pngOf({ width: 90, height: 70, colourType: 3, dataBytes: 70 * 91 }),
    ),
    hostile(
      'png-palette-of-one.png',
      'labelled',
      pngOf({
        width: 90,
        height: 70,
        colourType: 3,
        dataBytes: 70 * 91,
        extra: [pngChunk('PLTE', Buffer.from([9, 8, 7]))],
      }),
    ),
    hostile('png-palette-index-beyond.png', 'labelled', beyondPalette()),
    hostile(
      'png-grey-alpha-16.png',
      'labelled',
      pngOf({ width: 90, height: 70, bitDepth: 16, colourType: 4, dataBytes: 70 * 361 }),
    ),
    hostile('png-3-bit.png', 'IMAGE_CORRUPT', withHeaderByte(plain, 8, 3)),
    hostile('png-colour-type-5.png', 'IMAGE_CORRUPT', withHeaderByte(plain, 9, 5)),
    hostile('png-row-filter-9.png', 'IMAGE_CORRUPT', withFilter(9)),
  ];
}

function deflatedText(bytes: number): Buffer {
  return Buffer.concat([Buffer.from('Comment\0\0', 'latin1'), deflateSync(Buffer.alloc(bytes))]);
}

function pngOf({
  width,
  height,
  bitDepth = 8,
  colourType,
  interlaced = false,
  dataBytes,
  extra = [],
}: PngShape): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bitDepth, colourType, 0, 0, interlaced ? 1 : 0], 8);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    ...extra,
    pngChunk('IDAT', deflateSync(Buffer.alloc(dataBytes))),
    pngChunk('IEND'),
  ]);
}

function withChunks(png: Buffer, chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([
    png.subarray(0, SIGNATURE_AND_HEADER_BYTES),
    ...chunks,
    png.subarray(SIGNATURE_AND_HEADER_BYTES),
  ]);
}

function shortTexts(count: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) =>
      pngChunk('tEXt', Buffer.from(`Key${index}\0value`, 'latin1')),
    ),
  );
}

function emptyChunks(count: number): Buffer {
  const chunk = pngChunk('vpAg');
  return Buffer.concat(Array.from({ length: count }, () => chunk));
}

/** 8 × 8 pixels whose compressed data goes on for 128 MB. */
function small(zeros: Buffer): Buffer {
  const png = pngOf({ width: 8, height: 8, colourType: 2, dataBytes: 0 });
  const head = png.subarray(0, SIGNATURE_AND_HEADER_BYTES);
  return Buffer.concat([head, pngChunk('IDAT', zeros), pngChunk('IEND')]);
}

function beyondPalette(): Buffer {
  const png = pngOf({
    width: 8,
    height: 8,
    colourType: 3,
    dataBytes: 0,
    extra: [pngChunk('PLTE', Buffer.from([9, 8, 7]))],
  });
  const head = png.subarray(0, SIGNATURE_AND_HEADER_BYTES + 15);
  const rows = Buffer.alloc(8 * 9, 200);
  for (let row = 0; row < 8; row++) rows[row * 9] = 0;
  return Buffer.concat([head, pngChunk('IDAT', deflateSync(rows)), pngChunk('IEND')]);
}

function withFilter(filter: number): Buffer {
  const png = pngOf({ width: 8, height: 8, colourType: 2, dataBytes: 0 });
  const rows = Buffer.alloc(8 * 25, filter);
  return Buffer.concat([
    png.subarray(0, SIGNATURE_AND_HEADER_BYTES),
    pngChunk('IDAT', deflateSync(rows)),
    pngChunk('IEND'),
  ]);
}

/** With a right checksum, so that only the value is wrong. */
function withHeaderByte(png: Buffer, at: number, value: number): Buffer {
  const header = Buffer.from(png.subarray(16, 29));
  header[at] = value;
  return Buffer.concat([
    png.subarray(0, 8),
    pngChunk('IHDR', header),
    png.subarray(SIGNATURE_AND_HEADER_BYTES),
  ]);
}
