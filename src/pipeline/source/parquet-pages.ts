import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { ColumnMetaData, Compressors, PageHeader, RowGroup } from 'hyparquet/src/types.js';
import { compressors } from 'hyparquet-compressors';
import { parquetHeader } from 'hyparquet/src/column.js';

/** Largest column of one row group, in bytes, packed or unpacked: it is in memory while its rows are listed. */
export const MAX_CHUNK_BYTES = 512 * 1024 * 1024;

/** Decompressors of every codec; Node's own where it has one, since they are many times faster. */
export const CODECS: Compressors = {
  ...compressors,
  GZIP: (input, bytes) => gunzipSync(input, { maxOutputLength: Math.max(bytes, 1) }),
  BROTLI: (input, bytes) => brotliDecompressSync(input, { maxOutputLength: Math.max(bytes, 1) }),
};

/** The byte range of a column in a row group, as the decoder asks for it. */
export function chunkRange(chunk: ColumnMetaData): { start: number; end: number } {
  // A dictionary at offset 0 is how some writers say that there is none.
  const dictionary = Number(chunk.dictionary_page_offset ?? 0);
  const start = dictionary === 0 ? Number(chunk.data_page_offset) : dictionary;
  return { start, end: start + Number(chunk.total_compressed_size) };
}

/**
 * Checks the sizes that a row group states about one of its columns.
 * @throws Error that says what is wrong
 */
export function checkChunk(group: RowGroup, chunk: ColumnMetaData, fileBytes: number): void {
  const bytes = Math.max(Number(chunk.total_uncompressed_size), Number(chunk.total_compressed_size));
  if (bytes > MAX_CHUNK_BYTES) {
    throw new Error(
      `column "${chunk.path_in_schema.join('.')}" has ${bytes} bytes in a row group, at most ${MAX_CHUNK_BYTES} are read: write smaller row groups`,
    );
  }
  const { start, end } = chunkRange(chunk);
  const isInside = start >= 0 && start <= end && end <= fileBytes;
  if (!isInside || group.num_rows < 0n || chunk.num_values !== group.num_rows) {
    throw new Error('a row group contradicts itself');
  }
}

/**
 * Walks the page headers of a column before it is decoded. The decoder trusts them, and a damaged one, with a
 * negative size for one, sends it into a loop without end.
 * @param bytes the column's range
 * @throws Error that says what is wrong
 */
export function checkPages(bytes: ArrayBuffer, chunk: ColumnMetaData): void {
  const reader = { view: new DataView(bytes), offset: 0 };
  let values = 0;
  while (values < Number(chunk.num_values)) {
    const header = parquetHeader(reader);
    const body = header.compressed_page_size;
    if (
      !isSize(body, bytes.byteLength - reader.offset) ||
      !isSize(header.uncompressed_page_size, MAX_CHUNK_BYTES)
    ) {
      throw new Error('a page has an impossible size');
    }
    const count = valuesOf(header);
    const most =
      header.type === 'DICTIONARY_PAGE' ? header.uncompressed_page_size : Number(chunk.num_values) - values;
    if (!isSize(count, most)) throw new Error('a page has an impossible number of values');
    const levels = header.data_page_header_v2;
    if (levels !== undefined) {
      const levelBytes = levels.definition_levels_byte_length + levels.repetition_levels_byte_length;
      if (!isSize(levels.definition_levels_byte_length, levelBytes) || !isSize(levelBytes, body)) {
        throw new Error('a page has an impossible size');
      }
    }
    if (header.type !== 'DICTIONARY_PAGE') values += count;
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
