import { deflateSync } from 'node:zlib';
import { makeTiff } from '../images.ts';
import { hostile, type HostileFile } from './hostile-file.ts';

const SHORT = 3;
const LONG = 4;
const TAG = {
  width: 256,
  height: 257,
  bitsPerSample: 258,
  compression: 259,
  photometric: 262,
  stripOffsets: 273,
  samplesPerPixel: 277,
  rowsPerStrip: 278,
  stripByteCounts: 279,
  planarConfiguration: 284,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileByteCounts: 325,
  subDirectories: 330,
} as const;

type TagName = keyof typeof TAG;
type Fields = Partial<Record<TagName, number>>;

const HEADER_BYTES = 8;
/** Pixels lie right behind the header, so that their place does not depend on the directory. */
const DATA_AT = HEADER_BYTES;

interface TiffOptions {
  /** Of each directory that follows the first one; the last points where this says. */
  readonly next?: number;
  /** Written in place of a count of 1. */
  readonly counts?: Partial<Record<TagName, number>>;
}

/** TIFFs whose directory lies. */
export async function hostileTiffs(): Promise<HostileFile[]> {
  const pixels = Buffer.alloc(8 * 8 * 3, 120);
  const good: Fields = {
    width: 8,
    height: 8,
    bitsPerSample: 8,
    compression: 1,
    photometric: 2,
    stripOffsets: DATA_AT,
    samplesPerPixel: 3,
    rowsPerStrip: 8,
    stripByteCounts: pixels.length,
  };
  const { stripOffsets: _o, stripByteCounts: _c, rowsPerStrip: _r, ...unplaced } = good;
  const make = (fields: Fields, options?: TiffOptions) => tiffOf({ ...good, ...fields }, pixels, options);
  const tiles: Fields = { ...unplaced, tileOffsets: DATA_AT, tileByteCounts: pixels.length };
  const deflated = deflateSync(Buffer.alloc(64 * 1024 * 1024));
  return [
    hostile('tiff-plain.tif', 'labelled', make({})),
    hostile('tiff-strip-of-4-gb.tif', 'IMAGE_TRUNCATED', make({ stripByteCounts: 0xffff_ffff })),
    hostile('tiff-strip-of-nothing.tif', 'labelled', make({ stripByteCounts: 0 })),
    hostile('tiff-strip-too-short.tif', 'labelled', make({ stripByteCounts: 10 })),
    hostile('tiff-strip-beyond-end.tif', 'IMAGE_TRUNCATED', make({ stripOffsets: 0xffff_fff0 })),
    hostile('tiff-strip-over-header.tif', 'labelled', make({ stripOffsets: 0 })),
    hostile(
      'tiff-4-billion-strips.tif',
      'IMAGE_TRUNCATED',
      make({}, { counts: { stripOffsets: 0xffff_ffff, stripByteCounts: 0xffff_ffff } }),
    ),
    hostile('tiff-rows-per-strip-0.tif', 'IMAGE_CORRUPT', make({ rowsPerStrip: 0 })),
    hostile('tiff-rows-per-strip-4-billion.tif', 'labelled', make({ rowsPerStrip: 0xffff_ffff })),
    hostile(
      'tiff-4-billion-square.tif',
      'IMAGE_TOO_MANY_PIXELS',
      make({ width: 0xffff_ffff, height: 0xffff_ffff }),
    ),
    hostile('tiff-50000-square.tif', 'IMAGE_TOO_MANY_PIXELS', make({ width: 50_000, height: 50_000 })),
    hostile('tiff-no-columns.tif', 'IMAGE_CORRUPT', make({ width: 0 })),
    hostile('tiff-65535-samples.tif', 'IMAGE_CORRUPT', make({ samplesPerPixel: 65_535 })),
    hostile(
      'tiff-65535-planes.tif',
      'IMAGE_CORRUPT',
      make({ samplesPerPixel: 65_535, planarConfiguration: 2 }),
    ),
    hostile('tiff-65535-bits.tif', 'IMAGE_CORRUPT', make({ bitsPerSample: 65_535 })),
    hostile(
      'tiff-40-gb-of-samples.tif',
      'IMAGE_CORRUPT',
      tiffOf(
        {
          ...good,
          width: 9_900,
          height: 9_900,
          samplesPerPixel: 200,
          bitsPerSample: 16,
          photometric: 1,
          compression: 8,
          rowsPerStrip: 9_900,
          stripByteCounts: deflated.length,
        },
        deflated,
      ),
    ),
    hostile(
      'tiff-98-megapixels-in-one-strip.tif',
      'IMAGE_CORRUPT',
      tiffOf(
        {
          ...good,
          width: 9_900,
          height: 9_900,
          compression: 8,
          rowsPerStrip: 9_900,
          stripByteCounts: deflated.length,
        },
        deflated,
      ),
    ),
    hostile(
      'tiff-tiles-of-4-billion.tif',
      'IMAGE_CORRUPT',
      tiffOf({ ...tiles, tileWidth: 0xffff_fff0, tileHeight: 0xffff_fff0 }, pixels),
    ),
    hostile(
      'tiff-tiles-of-60000.tif',
      'IMAGE_CORRUPT',
      tiffOf({ ...tiles, tileWidth: 60_000, tileHeight: 60_000 }, pixels),
    ),
    hostile(
      'tiff-tile-of-40000-deflated.tif',
      'IMAGE_CORRUPT',
      tiffOf(
        { ...tiles, tileWidth: 40_000, tileHeight: 40_000, compression: 8, tileByteCounts: deflated.length },
        deflated,
      ),
    ),
    hostile(
      'tiff-tiles-of-0.tif',
      'IMAGE_CORRUPT',
      tiffOf({ ...tiles, tileWidth: 0, tileHeight: 0 }, pixels),
    ),
    hostile('tiff-directory-loop.tif', 'labelled', make({}, { next: DATA_AT + pixels.length })),
    hostile('tiff-sub-directory-loop.tif', 'labelled', make({ subDirectories: DATA_AT + pixels.length })),
    hostile('tiff-next-directory-beyond-end.tif', 'IMAGE_CORRUPT', make({}, { next: 0xffff_fff0 })),
    hostile('tiff-directory-in-header.tif', 'IMAGE_TRUNCATED', Buffer.from('II*\0\0\0\0\0', 'latin1')),
    hostile('tiff-1000-directories.tif', 'labelled', chain(good, pixels, 1_000)),
    hostile('tiff-60000-directories.tif', 'IMAGE_CORRUPT', chain(good, pixels, 60_000)),
    hostile('tiff-unknown-compression.tif', 'IMAGE_CORRUPT', make({ compression: 60_000 })),
    hostile('tiff-1-bit.tif', 'labelled', make({ bitsPerSample: 1, samplesPerPixel: 1, photometric: 0 })),
    hostile('tiff-cmyk.tif', 'labelled', await makeTiff({ kind: 'cmyk' })),
    hostile('tiff-16-bit.tif', 'labelled', await makeTiff({ kind: 'rgb16' })),
  ];
}

function tiffOf(fields: Fields, data: Buffer, { next = 0, counts = {} }: TiffOptions = {}): Buffer {
  const header = Buffer.from('II*\0\0\0\0\0', 'latin1');
  header.writeUInt32LE(DATA_AT + data.length, 4);
  return Buffer.concat([header, data, directoryOf(fields, next, counts)]);
}

function directoryOf(fields: Fields, next: number, counts: TiffOptions['counts'] = {}): Buffer {
  const entries = (Object.entries(fields) as [TagName, number][]).sort(([a], [b]) => TAG[a] - TAG[b]);
  const directory = Buffer.alloc(2 + 12 * entries.length + 4);
  directory.writeUInt16LE(entries.length, 0);
  entries.forEach(([name, value], index) => {
    const at = 2 + 12 * index;
    directory.writeUInt16LE(TAG[name], at);
    directory.writeUInt16LE(value > 0xffff || name.endsWith('s') ? LONG : SHORT, at + 2);
    directory.writeUInt32LE(counts[name] ?? 1, at + 4);
    directory.writeUInt32LE(value, at + 8);
  });
  directory.writeUInt32LE(next, directory.length - 4);
  return directory;
}

/** As many pages as there are directories, all with the same pixels. */
function chain(fields: Fields, data: Buffer, count: number): Buffer {
  const first = DATA_AT + data.length;
  const bytes = directoryOf(fields, 0).length;
  const directories = Array.from({ length: count }, (_, index) =>
    directoryOf(fields, index + 1 < count ? first + (index + 1) * bytes : 0),
  );
  const header = Buffer.from('II*\0\0\0\0\0', 'latin1');
  header.writeUInt32LE(first, 4);
  return Buffer.concat([header, data, ...directories]);
}
