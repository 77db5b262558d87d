import { crc32, deflateSync } from 'node:zlib';

/** One chunk of a PNG: length, type, data and checksum. */
export function pngChunk(type: string, data: Uint8Array = new Uint8Array(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  chunk.set(body, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

export interface PlainPng {
  readonly width: number;
  readonly height: number;
  /** (height, width, channels) uint8: 1 channel is grey, 3 are RGB. */
  readonly pixels: Uint8Array;
  /** Filter type of every row; the pixels are written as they are. */
  readonly filter?: number;
  /** Chunks before the pixels. */
  readonly extra?: Uint8Array;
  /** Bytes of the compressed pixels in each IDAT chunk. */
  readonly idatBytes?: number;
}

/** A PNG that is nothing but header and pixels, and what a test adds. */
export function plainPng({ width, height, pixels, filter = 0, extra, idatBytes }: PlainPng): Uint8Array {
  const rowBytes = pixels.length / height;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, rowBytes === width ? 0 : 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (rowBytes + 1), filter);
  for (let row = 0; row < height; row++) {
    rows.set(pixels.subarray(row * rowBytes, (row + 1) * rowBytes), row * (rowBytes + 1) + 1);
  }
  const data = deflateSync(rows);
  const step = idatBytes ?? data.length;
  const parts = Array.from({ length: Math.ceil(data.length / step) }, (_, index) =>
    pngChunk('IDAT', data.subarray(index * step, (index + 1) * step)),
  );
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    pngChunk('IHDR', header),
    extra ?? new Uint8Array(0),
    ...parts,
    pngChunk('IEND'),
  ]);
}
