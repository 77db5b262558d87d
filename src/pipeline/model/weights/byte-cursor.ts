import { corrupt } from './faults.ts';

/** Reads little-endian numbers and text from bytes, front to back; running past the end is `MODEL_CORRUPT`. */
export class ByteCursor {
  position: number;
  readonly bytes: Uint8Array;
  readonly where: string;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, position: number, where: string) {
    this.bytes = bytes;
    this.position = position;
    this.where = where;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.byteLength - this.position;
  }

  /** Moves past `count` bytes and says where they start. */
  skip(count: number): number {
    if (count > this.remaining) {
      throw corrupt(
        this.where,
        `expected ${count} more bytes at byte ${this.position}, got ${this.remaining}`,
      );
    }
    const start = this.position;
    this.position += count;
    return start;
  }

  take(count: number): Uint8Array {
    const start = this.skip(count);
    return this.bytes.subarray(start, start + count);
  }

  uint8(): number {
    return this.#view.getUint8(this.skip(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.skip(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.skip(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  /** An unsigned 64-bit integer; one that is too large to be exact is too large for any length or offset. */
  uint64(): number {
    const value = this.#view.getBigUint64(this.skip(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw corrupt(this.where, `expected a size at byte ${this.position - 8}, got ${value}`);
    }
    return Number(value);
  }

  float64BigEndian(): number {
    return this.#view.getFloat64(this.skip(8), false);
  }

  /** A two's complement integer of any length, as a bigint only where a number would not be exact. */
  integer(byteLength: number): number | bigint {
    let value = 0n;
    for (const byte of this.take(byteLength).toReversed()) value = (value << 8n) | BigInt(byte);
    const signed = BigInt.asIntN(byteLength * 8, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }

  text(byteLength: number): string {
    const start = this.position;
    try {
      return utf8.decode(this.take(byteLength));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw corrupt(this.where, `expected UTF-8 text of ${byteLength} bytes at byte ${start}`, error);
    }
  }

  /** Text up to the next line feed, which is consumed and not returned. */
  line(maxBytes: number): string {
    const end = this.bytes.subarray(this.position, this.position + maxBytes + 1).indexOf(0x0a);
    if (end < 0) {
      throw corrupt(this.where, `expected a line of at most ${maxBytes} bytes at byte ${this.position}`);
    }
    const text = this.text(end);
    this.skip(1);
    return text;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
