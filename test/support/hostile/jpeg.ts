import { makeJpeg } from '../images.ts';
import { hostile, type HostileFile } from './hostile-file.ts';

const SOI = Buffer.from([0xff, 0xd8]);
const EOI = Buffer.from([0xff, 0xd9]);
const MARKER = { sof2: 0xc2, dht: 0xc4, dqt: 0xdb, dri: 0xdd, sos: 0xda, app1: 0xe1, app2: 0xe2, com: 0xfe };
const SEGMENT_BYTES = 65_533;
/** Just below the limit of a hundred million pixels. */
const LARGE_SIDE = 9_900;

/** JPEGs that are made to cost time or memory, or to be taken for another one. */
export async function hostileJpegs(): Promise<HostileFile[]> {
  const plain = Buffer.from(await makeJpeg({ width: 90, height: 70 }));
  const progressive = Buffer.from(await makeJpeg({ width: 90, height: 70, progressive: true }));
  return [
    hostile('jpeg-65535-pixels-square.jpg', 'IMAGE_TOO_MANY_PIXELS', withSize(plain, 65_535, 65_535)),
    hostile(
      'jpeg-progressive-65535-square.jpg',
      'IMAGE_TOO_MANY_PIXELS',
      withSize(progressive, 65_535, 65_535),
    ),
    hostile('jpeg-no-rows.jpg', 'IMAGE_CORRUPT', withSize(plain, 90, 0)),
    hostile(
      'jpeg-98-megapixels-without-data.jpg',
      'IMAGE_TRUNCATED',
      withSize(plain, LARGE_SIDE, LARGE_SIDE),
    ),
    hostile('jpeg-scans-90.jpg', 'labelled', scanBomb(64, 64, 90)),
    hostile('jpeg-scans-5000.jpg', 'IMAGE_CORRUPT', scanBomb(64, 64, 5_000)),
    hostile('jpeg-scans-5000-of-98-megapixels.jpg', 'IMAGE_CORRUPT', scanBomb(LARGE_SIDE, LARGE_SIDE, 5_000)),
    hostile('jpeg-scans-bogus-2000.jpg', 'IMAGE_CORRUPT', withRepeatedScan(progressive, 2_000)),
    hostile('jpeg-restart-every-65535.jpg', 'labelled', withSegments(plain, [restartInterval(65_535)])),
    hostile('jpeg-restart-every-1.jpg', 'labelled', withSegments(plain, [restartInterval(1)])),
    hostile('jpeg-app-segments-of-20-mb.jpg', 'labelled', withSegments(plain, largeSegments(320))),
    hostile('jpeg-comments-9000.jpg', 'labelled', withSegments(plain, emptyComments(9_000))),
    hostile('jpeg-comments-200000.jpg', 'IMAGE_CORRUPT', withSegments(plain, emptyComments(200_000))),
    hostile(
      'jpeg-fill-bytes.jpg',
      'labelled',
      Buffer.concat([SOI, Buffer.alloc(4e6, 0xff), plain.subarray(2)]),
    ),
    hostile('jpeg-exif-loop.jpg', 'labelled', withSegments(plain, [exif(loopingDirectory())])),
    hostile('jpeg-exif-65535-entries.jpg', 'labelled', withSegments(plain, [exif(crowdedDirectory())])),
    hostile('jpeg-exif-4-gb-values.jpg', 'labelled', withSegments(plain, [exif(boastfulDirectory())])),
    hostile('jpeg-icc-255-chunks.jpg', 'labelled', withSegments(plain, profileChunks())),
    hostile('jpeg-lossless-frame.jpg', 'IMAGE_CORRUPT', withFrameType(plain, 0xc3)),
    hostile('jpeg-only-tables.jpg', 'IMAGE_TRUNCATED', Buffer.concat([SOI, EOI, EOI])),
  ];
}

function segment(marker: number, payload: Uint8Array): Buffer {
  const head = Buffer.from([0xff, marker, 0, 0]);
  head.writeUInt16BE(payload.length + 2, 2);
  return Buffer.concat([head, payload]);
}

function withSegments(jpeg: Buffer, segments: readonly Buffer[]): Buffer {
  return Buffer.concat([SOI, ...segments, jpeg.subarray(2)]);
}

function frameOf(jpeg: Buffer): number {
  const frame = Math.max(
    jpeg.indexOf(Buffer.from([0xff, 0xc0, 0])),
    jpeg.indexOf(Buffer.from([0xff, MARKER.sof2, 0])),
  );
  if (frame < 0) throw new Error('expected a JPEG with a frame header');
  return frame;
}

function withSize(jpeg: Buffer, width: number, height: number): Buffer {
  const sized = Buffer.from(jpeg);
  sized.writeUInt16BE(height, frameOf(jpeg) + 5);
  sized.writeUInt16BE(width, frameOf(jpeg) + 7);
  return sized;
}

function withFrameType(jpeg: Buffer, marker: number): Buffer {
  const changed = Buffer.from(jpeg);
  changed.writeUInt8(marker, frameOf(jpeg) + 1);
  return changed;
}

function restartInterval(blocks: number): Buffer {
  return segment(MARKER.dri, Buffer.from([blocks >> 8, blocks & 0xff]));
}

function largeSegments(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    segment(index % 2 === 0 ? MARKER.app1 : MARKER.com, Buffer.alloc(SEGMENT_BYTES, 0x41)),
  );
}

function emptyComments(count: number): Buffer[] {
  return [Buffer.concat(Array.from({ length: count }, () => segment(MARKER.com, Buffer.alloc(0))))];
}

function profileChunks(): Buffer[] {
  return Array.from({ length: 255 }, (_, index) =>
    segment(
      MARKER.app2,
      Buffer.concat([
        Buffer.from('ICC_PROFILE\0', 'latin1'),
        Buffer.from([index + 1, 255]),
        Buffer.alloc(9_000),
      ]),
    ),
  );
}

function exif(tiff: Buffer): Buffer {
  return segment(MARKER.app1, Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]));
}

const LITTLE_ENDIAN_TIFF = Buffer.from('II*\0\x08\0\0\0', 'latin1');

/** A directory that names itself as its EXIF, GPS and interoperability directory, and as its own next. */
function loopingDirectory(): Buffer {
  const tags = [0x8769, 0x8825, 0xa005];
  const directory = Buffer.alloc(2 + 12 * tags.length + 4);
  directory.writeUInt16LE(tags.length, 0);
  tags.forEach((tag, index) => {
    const at = 2 + 12 * index;
    directory.writeUInt16LE(tag, at);
    directory.writeUInt16LE(4, at + 2);
    directory.writeUInt32LE(1, at + 4);
    directory.writeUInt32LE(8, at + 8);
  });
  directory.writeUInt32LE(8, directory.length - 4);
  return Buffer.concat([LITTLE_ENDIAN_TIFF, directory]);
}

/** Claims 65,535 entries, of which a segment has room for 5,000. */
function crowdedDirectory(): Buffer {
  const directory = Buffer.alloc(60_000, 0x01);
  directory.writeUInt16LE(0xffff, 0);
  return Buffer.concat([LITTLE_ENDIAN_TIFF, directory]);
}

/** Four thousand values of four gigabytes each. */
function boastfulDirectory(): Buffer {
  const entries = 4_000;
  const directory = Buffer.alloc(2 + 12 * entries + 4);
  directory.writeUInt16LE(entries, 0);
  for (let index = 0; index < entries; index++) {
    const at = 2 + 12 * index;
    directory.writeUInt16LE(0x010e + index, at);
    directory.writeUInt16LE(2, at + 2);
    directory.writeUInt32LE(0xffff_fff0, at + 4);
    directory.writeUInt32LE(8, at + 8);
  }
  return Buffer.concat([LITTLE_ENDIAN_TIFF, directory]);
}

function withRepeatedScan(jpeg: Buffer, times: number): Buffer {
  const first = jpeg.indexOf(Buffer.from([0xff, MARKER.sos]));
  const next = jpeg.indexOf(Buffer.from([0xff, MARKER.dht]), first);
  const scan = jpeg.subarray(first, next < 0 ? jpeg.length - 2 : next);
  return Buffer.concat([
    jpeg.subarray(0, first),
    ...Array.from({ length: times }, () => scan),
    jpeg.subarray(first),
  ]);
}

/**
 * A valid progressive greyscale JPEG whose every scan says, in a few bytes, that all blocks stay as they are: a decoder
 * that follows it goes over the whole image once for each.
 */
export function scanBomb(width: number, height: number, scans: number): Buffer {
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  const frame = Buffer.from([8, 0, 0, 0, 0, 1, 1, 0x11, 0]);
  frame.writeUInt16BE(height, 1);
  frame.writeUInt16BE(width, 3);
  const endOfBandRuns = Array.from({ length: 15 }, (_, category) => category << 4);
  return Buffer.concat([
    SOI,
    segment(MARKER.dqt, Buffer.concat([Buffer.from([0]), Buffer.alloc(64, 1)])),
    segment(MARKER.sof2, frame),
    // One code of one bit: no difference to the block before.
    segment(MARKER.dht, Buffer.from([0x00, 1, ...Array<number>(15).fill(0), 0])),
    // Fifteen codes of four bits: runs of blocks without a coefficient.
    segment(MARKER.dht, Buffer.from([0x10, 0, 0, 0, 15, ...Array<number>(12).fill(0), ...endOfBandRuns])),
    segment(MARKER.sos, Buffer.from([1, 1, 0x00, 0, 0, 0])),
    packBits([[0, 0, blocks]]),
    ...Array.from({ length: scans - 1 }, (_, index) => scanOfNothing(1 + (index % 63), blocks)),
    EOI,
  ]);
}

function scanOfNothing(coefficient: number, blocks: number): Buffer {
  const bits: [value: number, length: number, times: number][] = [];
  const longest = 32_767;
  if (blocks >= longest) bits.push([(14 << 14) | (longest - 2 ** 14), 18, Math.floor(blocks / longest)]);
  const rest = blocks % longest;
  if (rest > 0) {
    const category = Math.floor(Math.log2(rest));
    bits.push([(category << category) | (rest - 2 ** category), 4 + category, 1]);
  }
  return Buffer.concat([
    segment(MARKER.sos, Buffer.from([1, 1, 0x00, coefficient, coefficient, 0])),
    packBits(bits),
  ]);
}

/** Entropy-coded bits, most significant first, padded with ones and escaped. A length of 0 stands for single zeros. */
function packBits(runs: readonly (readonly [value: number, length: number, times: number])[]): Buffer {
  const bits: number[] = [];
  for (const [value, length, times] of runs) {
    for (let time = 0; time < times; time++) {
      for (let bit = Math.max(1, length) - 1; bit >= 0; bit--) bits.push((value >>> bit) & 1);
    }
  }
  while (bits.length % 8 !== 0) bits.push(1);
  const bytes: number[] = [];
  for (let at = 0; at < bits.length; at += 8) {
    const byte = bits.slice(at, at + 8).reduce((sum, bit) => sum * 2 + bit, 0);
    bytes.push(byte, ...(byte === 0xff ? [0] : []));
  }
  return Buffer.from(bytes);
}
