/** Checks what is in a data page: its levels, then its values in one of Parquet's encodings. */
import type { CompressionCodec, Compressors, PageHeader, ParquetType } from 'hyparquet/src/types.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { checkDeltas, checkRuns, checkSharedTexts } from './parquet-runs.ts';

/** Values of one page: the decoder has three arrays of them in memory. Writers stay below a million. */
export const MAX_PAGE_VALUES = 16_777_216;
/** Text of one page whose values share their beginnings, written out, in bytes. */
const MAX_SHARED_BYTES = 512 * 1024 * 1024;
/** Length of levels that are in the page itself. */
const LENGTH_BYTES = 4;

/** What the pages of a column hold. */
export interface PageColumn {
  readonly type: ParquetType;
  /** Of a FIXED_LEN_BYTE_ARRAY. */
  readonly valueBytes: number;
  /** Largest levels: 0 where they are not written. */
  readonly repetition: number;
  readonly definition: number;
  readonly codec: CompressionCodec;
}

/**
 * Checks a data page before the decoder unpacks it.
 * @param body as it is in the file
 * @throws Error that says what is wrong
 */
export function checkValues(
  header: PageHeader,
  body: Uint8Array,
  column: PageColumn,
  codecs: Compressors,
): void {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const inflate = (bytes: Uint8Array, size: number): Uint8Array =>
    decompressPage(bytes, size, column.codec, codecs);
  if (header.type === 'DATA_PAGE' && v1 !== undefined) {
    const page = inflate(body, header.uncompressed_page_size);
    const view = viewOf(page);
    const repetitionEnd = checkLevels(view, 0, column.repetition, v1.num_values);
    const start = checkLevels(view, repetitionEnd, column.definition, v1.num_values);
    const nulls = countNulls(view, repetitionEnd, column.definition, v1.num_values);
    checkEncoding(view, start, v1.num_values - nulls, v1.encoding, column);
  } else if (header.type === 'DATA_PAGE_V2' && v2 !== undefined) {
    const { repetition_levels_byte_length: repetition, definition_levels_byte_length: definition } = v2;
    const levels = repetition + definition;
    const areSizes =
      isSize(repetition, levels) &&
      isSize(definition, levels) &&
      isSize(levels, Math.min(body.length, header.uncompressed_page_size)) &&
      isSize(v2.num_nulls, v2.num_values) &&
      isSize(v2.num_rows, v2.num_values);
    if (!areSizes) throw new Error('a page has an impossible size');
    const view = viewOf(body);
    if (column.repetition > 0) checkRuns(view, 0, repetition, bitsOf(column.repetition), v2.num_values);
    if (column.definition > 0) checkRuns(view, repetition, levels, bitsOf(column.definition), v2.num_values);
    const packed = body.subarray(levels);
    const page =
      v2.is_compressed === false ? packed : inflate(packed, header.uncompressed_page_size - levels);
    checkEncoding(viewOf(page), 0, v2.num_values - v2.num_nulls, v2.encoding, column);
  }
}

/** @returns where they end */
function checkLevels(view: DataView, start: number, highest: number, values: number): number {
  if (highest === 0) return start;
  const end = start + LENGTH_BYTES + view.getUint32(start, true);
  checkRuns(view, start + LENGTH_BYTES, end, bitsOf(highest), values);
  return end;
}

/** Values that are not there; the levels have been checked. */
function countNulls(view: DataView, start: number, highest: number, values: number): number {
  if (highest === 0) return 0;
  const levels = new Uint8Array(values);
  readRleBitPackedHybrid({ view, offset: start }, bitsOf(highest), levels);
  return levels.reduce((nulls, level) => (level === highest ? nulls : nulls + 1), 0);
}

function checkEncoding(
  view: DataView,
  start: number,
  values: number,
  encoding: string,
  { type, valueBytes }: PageColumn,
): void {
  switch (encoding) {
    case 'RLE':
    case 'RLE_DICTIONARY':
    case 'PLAIN_DICTIONARY':
      if (type === 'BOOLEAN') checkLevels(view, start, 1, values);
      else if (values > 0) checkRuns(view, start + 1, view.byteLength, view.getUint8(start), values);
      return;
    case 'DELTA_BINARY_PACKED':
    case 'DELTA_LENGTH_BYTE_ARRAY':
      checkDeltas(view, start, values);
      return;
    case 'DELTA_BYTE_ARRAY':
      checkSharedTexts(view, start, values, MAX_SHARED_BYTES);
      return;
    case 'BYTE_STREAM_SPLIT':
      if (values * Math.max(valueBytes, 1) > view.byteLength)
        throw new Error('a page ends before its values');
      return;
    default:
  }
}

function bitsOf(highest: number): number {
  return 32 - Math.clz32(highest);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isSize(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= most;
}
