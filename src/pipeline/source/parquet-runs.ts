/**
 * Checks the streams of numbers in a page before the decoder unpacks them. The decoder believes what they say of
 * themselves: one run of a billion values, or a step back in the bytes, would take all memory or all time.
 */
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { readVarint } from './parquet-thrift.ts';

/** Values past the end of a page that a writer may fill its last run with. */
const PADDING_VALUES = 1_024;
const MAX_BIT_WIDTH = 32;
/** Of a delta block: writers use 128 values in 4 miniblocks. */
const MAX_BLOCK_VALUES = 65_536;
const MAX_MINIBLOCKS = 512;
const MAX_DELTA_WIDTH = 64;

/**
 * Checks runs and bit-packed groups (Parquet's "RLE / bit-packing hybrid").
 * @param end of the bytes that may hold them
 * @param values that are to be unpacked
 * @throws Error that says what is wrong
 */
export function checkRuns(view: DataView, start: number, end: number, width: number, values: number): void {
  if (width > MAX_BIT_WIDTH) throw new Error(`values are packed in ${width} bits`);
  const cursor = { view, offset: start };
  let seen = 0;
  while (seen < values) {
    const header = readVarint(cursor);
    const isPacked = header % 2 === 1;
    const count = Math.floor(header / 2) * (isPacked ? 8 : 1);
    if (count > values - seen + PADDING_VALUES) throw new Error(`a run has ${count} values`);
    // Without bits nothing moves on.
    if (count === 0 && cursor.offset >= end) throw new Error('a page ends before its values');
    cursor.offset += isPacked ? (count / 8) * width : Math.ceil(width / 8);
    seen += count;
  }
}

/**
 * Checks a stream of deltas (DELTA_BINARY_PACKED).
 * @param values that are to be unpacked
 * @returns offset of the byte after it
 * @throws Error that says what is wrong
 */
export function checkDeltas(view: DataView, start: number, values: number): number {
  const cursor = { view, offset: start };
  const blockValues = readVarint(cursor);
  const miniblocks = readVarint(cursor);
  if (
    blockValues < 1 ||
    blockValues > MAX_BLOCK_VALUES ||
    miniblocks < 1 ||
    miniblocks > MAX_MINIBLOCKS ||
    blockValues % miniblocks !== 0
  ) {
    throw new Error(`a block of deltas has ${blockValues} values in ${miniblocks} pieces`);
  }
  readVarint(cursor);
  readVarint(cursor);
  const pieceValues = blockValues / miniblocks;
  for (let seen = 1; seen < values;) {
    readVarint(cursor);
    const widths = cursor.offset;
    cursor.offset += miniblocks;
    for (let piece = 0; piece < miniblocks && seen < values; piece++, seen += pieceValues) {
      const width = view.getUint8(widths + piece);
      if (width > MAX_DELTA_WIDTH) throw new Error(`deltas are packed in ${width} bits`);
      cursor.offset += Math.ceil((pieceValues * width) / 8);
    }
  }
  return cursor.offset;
}

/**
 * Checks texts that share their beginnings with the ones before them (DELTA_BYTE_ARRAY).
 * @param mostBytes that they may have together, written out
 * @throws Error that says what is wrong
 */
export function checkSharedTexts(view: DataView, start: number, values: number, mostBytes: number): void {
  checkDeltas(view, checkDeltas(view, start, values), values);
  const reader = { view, offset: start };
  const [prefixes, suffixes] = [new Int32Array(values), new Int32Array(values)];
  deltaBinaryUnpack(reader, values, prefixes);
  deltaBinaryUnpack(reader, values, suffixes);
  let total = 0;
  for (const [index, prefix] of prefixes.entries()) {
    const suffix = suffixes[index] ?? 0;
    if (prefix < 0 || suffix < 0) throw new Error('a text has a negative length');
    total += prefix + suffix;
  }
  if (total > mostBytes) throw new Error(`a page has ${total} bytes of text, at most ${mostBytes} are read`);
}
