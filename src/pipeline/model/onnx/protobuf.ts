/**
 * The part of Protocol Buffers that ONNX files need: a writer that keeps large payloads by reference until the one
 * final copy, and a reader that hands out views of the file.
 */

export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** Payloads from this many bytes on stay where they are until {@link ProtoWriter.finish}. */
const BY_REFERENCE_FROM = 1024;

/** Builds one message. Fields are written in the order of the calls. */
export class ProtoWriter {
  readonly #chunks: Uint8Array[] = [];
  #small: number[] = [];
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** int32, int64 or enum field; an integer within ±2⁵³. */
  int(field: number, value: number): this {
    this.#tag(field, WIRE.varint);
    this.#varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, WIRE.fixed32);
    return this.raw(new Uint8Array(new Float32Array([value]).buffer));
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, WIRE.bytes);
    this.#varint(value.length);
    return this.raw(value);
  }

  message(field: number, message: ProtoWriter): this {
    this.#tag(field, WIRE.bytes);
    this.#varint(message.length);
    message.#flush();
    for (const chunk of message.#chunks) this.raw(chunk);
    return this;
  }

  /** Appends encoded fields as they are. The bytes must not change before {@link finish}. */
  raw(encoded: Uint8Array): this {
    if (encoded.length < BY_REFERENCE_FROM) {
      for (const byte of encoded) this.#small.push(byte);
    } else {
      this.#flush();
      this.#chunks.push(encoded);
    }
    this.#length += encoded.length;
    return this;
  }

  /** The message in a buffer of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#flush();
    const result = new Uint8Array(this.#length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      result.set(chunk, offset);
      offset += chunk.length;
    }
    return result;
  }

  #tag(field: number, wire: number): void {
    this.#varint(field * 8 + wire);
  }

  #varint(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`expected an integer within ±2^53, got ${value}`);
    const before = this.#small.length;
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value));
      for (; rest > 0x7fn; rest >>= 7n) this.#small.push(Number(rest & 0x7fn) | 0x80);
      this.#small.push(Number(rest));
    } else {
      let rest = value;
      for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#small.push((rest % 128) | 0x80);
      this.#small.push(rest);
    }
    this.#length += this.#small.length - before;
  }

  #flush(): void {
    if (this.#small.length === 0) return;
    this.#chunks.push(Uint8Array.from(this.#small));
    this.#small = [];
  }
}

/** One field of a message, as a view of the file. */
export interface ProtoField {
  readonly field: number;
  readonly wire: number;
  /** The varint's value; 0 for other wire types. Signed: int64 beyond ±2⁵³ lose their low bits. */
  readonly int: number;
  /** The payload of a length-delimited or fixed-size field; empty for varints. */
  readonly bytes: Uint8Array;
  /** Tag and payload together, to be written again as they are. */
  readonly raw: Uint8Array;
}

/**
 * Fields of one message, and values of one packed field. A field takes two bytes of a file and a hundred of memory;
 * the largest graphs have some ten thousand nodes.
 */
const MAX_FIELDS = 1_000_000;

/** Thrown by {@link readFields}; callers turn it into a sentence about their file. */
export class ProtobufError extends Error {}

/**
 * The fields of one message.
 * @throws ProtobufError where the bytes are not a message
 */
export function readFields(message: Uint8Array): ProtoField[] {
  const fields: ProtoField[] = [];
  const cursor = { bytes: message, at: 0 };
  while (cursor.at < message.length) {
    const start = cursor.at;
    const tag = readVarint(cursor);
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (tag < 8) throw new ProtobufError(`field number 0 at byte ${start}`);
    if (fields.length === MAX_FIELDS) throw new ProtobufError(`more than ${MAX_FIELDS} fields in a message`);
    const int = wire === WIRE.varint ? readVarint(cursor) : 0;
    const bytes = readPayload(cursor, wire);
    fields.push({ field, wire, int, bytes, raw: message.subarray(start, cursor.at) });
  }
  return fields;
}

/** The values of a repeated integer field, packed or not. */
export function repeatedInts(fields: readonly ProtoField[], field: number): number[] {
  return fields.flatMap((entry) => {
    if (entry.field !== field) return [];
    return entry.wire === WIRE.bytes ? unpackInts(entry.bytes) : [entry.int];
  });
}

interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

function unpackInts(bytes: Uint8Array): number[] {
  const values: number[] = [];
  const cursor = { bytes, at: 0 };
  while (cursor.at < bytes.length) {
    if (values.push(readVarint(cursor)) > MAX_FIELDS) {
      throw new ProtobufError(`more than ${MAX_FIELDS} values in a field`);
    }
  }
  return values;
}

function readPayload(cursor: Cursor, wire: number): Uint8Array {
  switch (wire) {
    case WIRE.varint:
      return cursor.bytes.subarray(cursor.at, cursor.at);
    case WIRE.bytes:
      return take(cursor, readVarint(cursor));
    case WIRE.fixed32:
      return take(cursor, 4);
    case WIRE.fixed64:
      return take(cursor, 8);
    default:
      throw new ProtobufError(`wire type ${wire} at byte ${cursor.at}`);
  }
}

function take(cursor: Cursor, length: number): Uint8Array {
  const end = cursor.at + length;
  if (length < 0 || end > cursor.bytes.length) {
    throw new ProtobufError(
      `${length} bytes expected at byte ${cursor.at}, ${cursor.bytes.length - cursor.at} left`,
    );
  }
  const payload = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return payload;
}

function readVarint(cursor: Cursor): number {
  const start = cursor.at;
  let value = 0;
  let factor = 1;
  for (let index = 0; index < 10; index++) {
    const byte = cursor.bytes[cursor.at];
    if (byte === undefined) throw new ProtobufError(`a number is cut off at byte ${cursor.at}`);
    cursor.at += 1;
    value += (byte & 0x7f) * factor;
    factor *= 128;
    if (byte < 0x80) return index === 9 ? signed(cursor.bytes.subarray(start, cursor.at)) : value;
  }
  throw new ProtobufError(`a number is longer than 10 bytes at byte ${start}`);
}

/** Ten bytes are what a negative int64 takes. */
function signed(varint: Uint8Array): number {
  let value = 0n;
  for (const [index, byte] of varint.entries()) value |= BigInt(byte & 0x7f) << BigInt(7 * index);
  return Number(BigInt.asIntN(64, value));
}
