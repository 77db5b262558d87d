import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { SchemaTree } from 'hyparquet';
import type { ColumnMetaData, Compressors, PageHeader, RowGroup } from 'hyparquet/src/types.js';
import { compressors } from 'hyparquet-compressors';
import { parquetHeader } from 'hyparquet/src/column.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js';
import { checkValues, MAX_PAGE_VALUES, type PageColumn } from './parquet-values.ts';
import { checkStruct } from './parquet-thrift.ts';

/** Largest column of one row group, in bytes, packed or unpacked: it is in memory while its rows are listed. */
export const MAX_CHUNK_BYTES = 512 * 1024 * 1024;

/** Decompressors of every codec; Node's own where it has one, since they are many times faster. */
const CODECS: Compressors = {
  ...compressors,
  GZIP: (input, bytes) => gunzipSync(input, { maxOutputLength: Math.max(bytes, 1) }),
  BROTLI: (input, bytes) => brotliDecompressSync(input, { maxOutputLength: Math.max(bytes, 1) }),
};

/**
 * Decompressors that unpack every page once, for the checks and for the decoder after them: pages stay in memory for as
 * long as the bytes of their column.
 */
export function pageCodecs(): Compressors {
  const pages = new WeakMap<ArrayBufferLike, Map<number, Uint8Array>>();
  const once =
    (unpack: NonNullable<Compressors[keyof Compressors]>) =>
    (input: Uint8Array, bytes: number): Uint8Array => {
      const known = pages.get(input.buffer) ?? new Map<number, Uint8Array>();
      pages.set(input.buffer, known);
      const page = known.get(input.byteOffset) ?? unpack(input, bytes);
      known.set(input.byteOffset, page);
      return page;
    };
  return Object.fromEntries(Object.entries(CODECS).map(([codec, unpack]) => [codec, once(unpack)]));
}

/** The byte range of a column in a row group, as the decoder asks for it. */
export function chunkRange(chunk: ColumnMetaData): { start: number; end: number } {
  // A dictionary at offset 0 is how some writers say that there is none.
  const dictionary = Number(chunk.dictionary_page_offset ?? 0);
  const start = dictionary === 0 ? Number(chunk.data_page_offset) : dictionary;
  return { start, end: start + Number(chunk.total_compressed_size) };
}

/**
 * What the pages of a column hold.
 * @throws Error where the schema has no such column
 */
export function pageColumn(
  schema: SchemaTree,
  { path_in_schema: names, type, codec }: ColumnMetaData,
): PageColumn {
  const path = getTreePath(schema, names);
  return {
    type,
    valueBytes: path.at(-1)?.element.type_length ?? 0,
    repetition: getMaxRepetitionLevel(path),
    definition: getMaxDefinitionLevel(path),
    codec,
  };
}

/**
 * Checks the sizes that a row group states about one of its columns.
 * @throws Error that says what is wrong
 */
export function checkChunk(
  group: RowGroup,
  chunk: ColumnMetaData,
  column: PageColumn,
  fileBytes: number,
): void {
  const bytes = Math.max(Number(chunk.total_uncompressed_size), Number(chunk.total_compressed_size));
  if (bytes > MAX_CHUNK_BYTES) {
    throw new Error(
      `column "${chunk.path_in_schema.join('.')}" has ${bytes} bytes in a row group, at most ${MAX_CHUNK_BYTES} are read: write smaller row groups`,
    );
  }
  const { start, end } = chunkRange(chunk);
  const isInside = start >= 0 && start <= end && end <= fileBytes;
  const hasItsValues = column.repetition > 0 || chunk.num_values === group.num_rows;
  if (!isInside || group.num_rows < 0n || !hasItsValues || typeof chunk.num_values !== 'bigint') {
    throw new Error('a row group contradicts itself');
  }
}

/**
 * Walks the pages of a column before it is decoded. The decoder trusts them, and a damaged one, with a negative size
 * or an endless run for one, sends it into a loop without end or takes all memory.
 * @param bytes the column's range
 * @param codecs that unpack its pages; without any, pages are plain or Snappy
 * @throws Error that says what is wrong
 */
export function checkPages(
  bytes: Uint8Array,
  chunk: ColumnMetaData,
  column: PageColumn,
  codecs: Compressors,
): void {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  let values = 0;
  while (values < Number(chunk.num_values)) {
    checkStruct(reader.view, reader.offset);
    const header = parquetHeader(reader);
    const body = header.compressed_page_size;
    if (
      !isSize(body, bytes.byteLength - reader.offset) ||
      !isSize(header.uncompressed_page_size, MAX_CHUNK_BYTES)
    ) {
      throw new Error('a page has an impossible size');
    }
    const count = valuesOf(header);
    const isDictionary = header.type === 'DICTIONARY_PAGE';
    const most = isDictionary ? header.uncompressed_page_size : Number(chunk.num_values) - values;
    if (!isSize(count, Math.min(most, MAX_PAGE_VALUES)))
      throw new Error('a page has an impossible number of values');
    if (!isDictionary) {
      checkValues(header, bytes.subarray(reader.offset, reader.offset + body), column, codecs);
      values += count;
    }
    reader.offset += body;
  }
}

function valuesOf(header: PageHeader): number {
  switch (header.type) {
    case 'DATA_PAGE':
      return header.data_page_header?.num_values ?? -1;
    case 'DATA_PAGE_V2':
      return header.data_page_header_v2?.num_values ?? -1;
    case 'DICTIONARY_PAGE':
      return header.dictionary_page_header?.num_values ?? -1;
    default:
      return -1;
  }
}

function isSize(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= most;
}
