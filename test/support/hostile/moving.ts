import { makeAvif, makeGif, makeWebp } from '../images.ts';
import { hostile, type HostileFile } from './hostile-file.ts';

/** GIF, WebP and AVIF: the formats with frames. */
export async function hostileMovies(): Promise<HostileFile[]> {
  const avif = Buffer.from(await makeAvif({ width: 90, height: 70 }));
  const still = Buffer.from(await makeWebp({ width: 16, height: 16, lossless: true }));
  const gif = Buffer.from(await makeGif({ width: 90, height: 70 }));
  return [
    hostile('gif-10000-frames.gif', 'labelled', gifOf(8, 8, 10_000)),
    hostile('gif-1-million-frames.gif', 'labelled', gifOf(8, 8, 1_000_000)),
    hostile('gif-screen-of-65535.gif', 'labelled', gifOf(65_535, 65_535, 1)),
    hostile('gif-frame-of-65535.gif', 'IMAGE_TOO_MANY_PIXELS', gifOf(8, 8, 1, 65_535)),
    hostile('gif-no-screen.gif', 'labelled', gifOf(0, 0, 1)),
    hostile('gif-no-frame.gif', 'IMAGE_CORRUPT', gifOf(8, 8, 0)),
    hostile('gif-code-size-200.gif', 'IMAGE_CORRUPT', withCodeSize(gif, 200)),
    hostile('webp-5000-frames.webp', 'labelled', webpOf(still, 16, 5_000)),
    hostile('webp-16-million-square.webp', 'IMAGE_TOO_MANY_PIXELS', webpOf(still, 2 ** 24, 1)),
    hostile('webp-16383-square.webp', 'IMAGE_TOO_MANY_PIXELS', webpOf(still, 16_383, 3)),
    hostile('webp-chunk-of-4-gb.webp', 'IMAGE_CORRUPT', withUint32(still, 16, 0xffff_fff0)),
    hostile('webp-container-of-0.webp', 'IMAGE_CORRUPT', withUint32(still, 4, 0)),
    hostile('avif-65535-square.avif', 'IMAGE_TOO_MANY_PIXELS', withExtent(avif, 65_535, 65_535)),
    hostile('avif-4-billion-square.avif', 'IMAGE_CORRUPT', withExtent(avif, 0xffff_ffff, 0xffff_ffff)),
    hostile('avif-smaller-than-its-picture.avif', 'IMAGE_CORRUPT', withExtent(avif, 9, 7)),
    hostile('avif-larger-than-its-picture.avif', 'IMAGE_CORRUPT', withExtent(avif, 9_000, 7_000)),
    hostile('avif-boxes-in-boxes.avif', 'IMAGE_CORRUPT', nestedBoxes(5_000)),
    hostile('avif-as-heic.avif', 'IMAGE_FORMAT_UNKNOWN', withBrand(avif, 'heic')),
  ];
}

/** @param frameSide of every frame; 1 where it is left out */
function gifOf(width: number, height: number, frames: number, frameSide = 1): Buffer {
  const screen = Buffer.alloc(13 + 6, 0x40);
  screen.write('GIF89a', 'latin1');
  screen.writeUInt16LE(width, 6);
  screen.writeUInt16LE(height, 8);
  screen.set([0x80, 0, 0], 10);
  const frame = Buffer.from([0x2c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0x4c, 1, 0]);
  frame.writeUInt16LE(frameSide, 5);
  frame.writeUInt16LE(frameSide, 7);
  return Buffer.concat([screen, Buffer.alloc(frame.length * frames, frame), Buffer.from([0x3b])]);
}

function withCodeSize(gif: Buffer, size: number): Buffer {
  const changed = Buffer.from(gif);
  const descriptor = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, 90, 0, 70, 0]));
  const tableBytes =
    (gif.readUInt8(descriptor + 9) & 0x80) === 0 ? 0 : 3 * 2 ** ((gif.readUInt8(descriptor + 9) & 7) + 1);
  changed.writeUInt8(size, descriptor + 10 + tableBytes);
  return changed;
}

/** An animation whose every frame is the picture of `still`. */
function webpOf(still: Buffer, side: number, frames: number): Buffer {
  const picture = still.subarray(12);
  const extended = Buffer.alloc(10);
  extended[0] = 0x02;
  extended.writeUIntLE(side - 1, 4, 3);
  extended.writeUIntLE(side - 1, 7, 3);
  const head = Buffer.alloc(16);
  head.writeUIntLE(15, 6, 3);
  head.writeUIntLE(15, 9, 3);
  const frame = riffChunk('ANMF', Buffer.concat([head, picture]));
  const body = Buffer.concat([
    Buffer.from('WEBP', 'latin1'),
    riffChunk('VP8X', extended),
    riffChunk('ANIM', Buffer.alloc(6)),
    ...Array.from({ length: frames }, () => frame),
  ]);
  return riffChunk('RIFF', body);
}

function riffChunk(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.write(type, 'latin1');
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
}

function withUint32(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt32LE(value, at);
  return changed;
}

function withExtent(avif: Buffer, width: number, height: number): Buffer {
  const changed = Buffer.from(avif);
  const extent = avif.indexOf('ispe');
  changed.writeUInt32BE(width, extent + 8);
  changed.writeUInt32BE(height, extent + 12);
  return changed;
}

function withBrand(avif: Buffer, brand: string): Buffer {
  const changed = Buffer.from(avif);
  const end = changed.readUInt32BE(0);
  for (let at = 8; at < end; at += 4)
    if (changed.toString('latin1', at, at + 3) === 'avi') changed.write(brand, at, 'latin1');
  return changed;
}

function nestedBoxes(depth: number): Buffer {
  let inner: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) {
    const head = Buffer.alloc(12);
    head.writeUInt32BE(inner.length + 12, 0);
    head.write(level % 2 === 0 ? 'iprp' : 'meta', 4, 'latin1');
    inner = Buffer.concat([head, inner]);
  }
  const brand = Buffer.from('\0\0\0\x18ftypavif\0\0\0\0avifmif1', 'latin1');
  return Buffer.concat([brand, inner]);
}
