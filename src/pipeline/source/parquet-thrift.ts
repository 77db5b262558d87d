/**
 * Walks the structures of a Parquet file (Thrift, compact protocol) before the decoder reads them. The decoder believes
 * every length: a footer of a few hundred bytes that speaks of lists within lists would make it take all memory.
 */

/** Structures and lists within each other; a footer has ten. */
const MAX_DEPTH = 32;
/** Of 64 bits, seven in each byte. */
const MAX_VARINT_BYTES = 10;

/** Types of the compact protocol that Parquet uses. */
const TYPE = {
  stop: 0,
  yes: 1,
  no: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  struct: 12,
};

interface Cursor {
  readonly view: DataView;
  offset: number;
}

/**
 * Checks one structure, with all that is in it.
 * @returns offset of the byte after it
 * @throws Error that says what is wrong
 */
export function checkStruct(view: DataView, offset: number): number {
  const cursor = { view, offset };
  walkStruct(cursor, 0);
  return cursor.offset;
}

/** @throws Error where it is no number that ends within the bytes */
export function readVarint(cursor: Cursor): number {
  let value = 0;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = cursor.view.getUint8(take(cursor, 1));
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return value;
  }
  throw new Error('a number is too long');
}

function walkStruct(cursor: Cursor, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error('structures are nested too deep');
  for (;;) {
    const head = cursor.view.getUint8(take(cursor, 1));
    const type = head & 0x0f;
    if (type === TYPE.stop) return;
    if (head >> 4 === 0) readVarint(cursor);
    walkValue(cursor, type, depth, false);
  }
}

function walkValue(cursor: Cursor, type: number, depth: number, inList: boolean): void {
  switch (type) {
    case TYPE.yes:
    case TYPE.no:
      // As a field, the type is the value.
      if (inList) take(cursor, 1);
      return;
    case TYPE.byte:
      take(cursor, 1);
      return;
    case TYPE.i16:
    case TYPE.i32:
    case TYPE.i64:
      readVarint(cursor);
      return;
    case TYPE.double:
      take(cursor, 8);
      return;
    case TYPE.binary:
      take(cursor, readVarint(cursor));
      return;
    case TYPE.list:
      walkList(cursor, depth + 1);
      return;
    case TYPE.struct:
      walkStruct(cursor, depth + 1);
      return;
    default:
      throw new Error(`a value has the unknown type ${type}`);
  }
}

function walkList(cursor: Cursor, depth: number): void {
  if (depth > MAX_DEPTH) throw new Error('structures are nested too deep');
  const head = cursor.view.getUint8(take(cursor, 1));
  const count = head >> 4 === 15 ? readVarint(cursor) : head >> 4;
  // Every element takes a byte or more.
  if (count > cursor.view.byteLength - cursor.offset) throw new Error(`a list has ${count} elements`);
  for (let index = 0; index < count; index++) walkValue(cursor, head & 0x0f, depth, true);
}

function take(cursor: Cursor, count: number): number {
  const start = cursor.offset;
  if (start + count > cursor.view.byteLength) throw new Error('the bytes end within a structure');
  cursor.offset = start + count;
  return start;
}
