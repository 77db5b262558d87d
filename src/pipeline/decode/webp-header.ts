import type { Size } from './orientation.ts';

/** Of the first chunk: behind `RIFF`, a size and `WEBP`. */
const CHUNK_AT = 12;
const DATA_AT = CHUNK_AT + 8;
/** Up to the last byte that says anything of the size, in any of the three forms. */
const HEADER_BYTES = DATA_AT + 10;
const SIDE_BITS = 0x3fff;

/**
 * The size of the canvas (RFC 9649, sections 2.5 to 2.7), without a decoder: libwebp makes room for an animation's
 * whole canvas before it is asked for a frame.
 * @returns undefined where the first chunk is none that gives a size
 */
export function readWebpCanvas(bytes: Uint8Array): Size | undefined {
  if (bytes.byteLength < HEADER_BYTES) return undefined;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  switch (header.toString('latin1', CHUNK_AT, CHUNK_AT + 4)) {
    case 'VP8X':
      return { width: header.readUIntLE(DATA_AT + 4, 3) + 1, height: header.readUIntLE(DATA_AT + 7, 3) + 1 };
    case 'VP8L': {
      const sides = header.readUInt32LE(DATA_AT + 1);
      return { width: (sides & SIDE_BITS) + 1, height: ((sides >>> 14) & SIDE_BITS) + 1 };
    }
    case 'VP8 ':
      return {
        width: header.readUInt16LE(DATA_AT + 6) & SIDE_BITS,
        height: header.readUInt16LE(DATA_AT + 8) & SIDE_BITS,
      };
    default:
      return undefined;
  }
}
