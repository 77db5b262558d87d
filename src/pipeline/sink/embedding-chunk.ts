import type { ColumnChunk } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeRleBitPackedHybrid } from 'hyparquet-writer/src/encoding.js';
import { snappyCompress } from 'hyparquet-writer/src/snappy.js';
import { EMBEDDING_PATH } from './parquet-schema.ts';

/** Size of a data page before compression: small enough that compressing it takes a few milliseconds. */
const PAGE_VALUES = 64 * 1024;
/** Repetition and definition levels of a list of required elements are 0 or 1. */
const LEVEL_BITS = 1;

/** The embedding column of one row group. */
export interface EmbeddingChunk {
  /** Adds a row's embedding; a page is compressed as soon as it is full. */
  add(embedding: Float32Array): void;
  /** Writes the pages and starts anew. @returns the footer's entry for this column chunk */
  write(writer: ByteWriter): ColumnChunk;
}

interface EncodedPages {
  readonly bytes: ByteWriter;
  pages: number;
  values: number;
  uncompressedBytes: number;
}

/**
 * Encodes a LIST<FLOAT> column in which every list has the same length. hyparquet-writer visits a nested column value
 * by value through closures, which reaches some 300 rows a second with 4,096 values each; here a page is one copy and
 * one compression.
 * @param length values per embedding
 */
export function createEmbeddingChunk(length: number): EmbeddingChunk {
  const pageRows = Math.max(1, Math.floor(PAGE_VALUES / length));
  // PLAIN is little-endian, as is every platform that the engines run on.
  const page = new Float32Array(pageRows * length);
  let rowsInPage = 0;
  let encoded = noPages();

  function endPage(): void {
    if (rowsInPage === 0) return;
    encoded.uncompressedBytes += writePage(encoded.bytes, page.subarray(0, rowsInPage * length), rowsInPage);
    encoded.pages += 1;
    encoded.values += rowsInPage * length;
    rowsInPage = 0;
  }

  return {
    add(embedding) {
      page.set(embedding, rowsInPage * length);
      rowsInPage += 1;
      if (rowsInPage === pageRows) endPage();
    },
    write(writer) {
      endPage();
      const offset = BigInt(writer.offset);
      writer.appendBytes(encoded.bytes.getBytes());
      const chunk = chunkMetadata(encoded, offset);
      encoded = noPages();
      return chunk;
    },
  };
}

function noPages(): EncodedPages {
  return { bytes: new ByteWriter(), pages: 0, values: 0, uncompressedBytes: 0 };
}

/** @returns bytes of the page before compression, with its header */
function writePage(writer: ByteWriter, values: Float32Array, rows: number): number {
  const levels = new ByteWriter();
  const repetitionBytes = writeRleBitPackedHybrid(
    levels,
    repetitionLevels(rows, values.length / rows),
    LEVEL_BITS,
  );
  const definitionBytes = writeRleBitPackedHybrid(levels, new Uint8Array(values.length).fill(1), LEVEL_BITS);
  const compressed = snappyCompress(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  const start = writer.offset;
  writePageHeader(writer, {
    type: 'DATA_PAGE_V2',
    uncompressed_page_size: levels.offset + values.byteLength,
    compressed_page_size: levels.offset + compressed.length,
    data_page_header_v2: {
      num_values: values.length,
      num_nulls: 0,
      num_rows: rows,
      encoding: 'PLAIN',
      definition_levels_byte_length: definitionBytes,
      repetition_levels_byte_length: repetitionBytes,
      is_compressed: true,
    },
  });
  const headerBytes = writer.offset - start;
  writer.appendBytes(levels.getBytes());
  writer.appendBytes(compressed);
  return headerBytes + levels.offset + values.byteLength;
}

/** 0 where a row starts, 1 inside it. */
function repetitionLevels(rows: number, length: number): Uint8Array {
  const levels = new Uint8Array(rows * length).fill(1);
  for (let row = 0; row < rows; row++) levels[row * length] = 0;
  return levels;
}

function chunkMetadata(encoded: EncodedPages, offset: bigint): ColumnChunk {
  return {
    file_offset: offset,
    meta_data: {
      type: 'FLOAT',
      encodings: ['PLAIN', 'RLE'],
      path_in_schema: [...EMBEDDING_PATH],
      codec: 'SNAPPY',
      num_values: BigInt(encoded.values),
      total_compressed_size: BigInt(encoded.bytes.offset),
      total_uncompressed_size: BigInt(encoded.uncompressedBytes),
      data_page_offset: offset,
      encoding_stats: [{ page_type: 'DATA_PAGE_V2', encoding: 'PLAIN', count: encoded.pages }],
    },
  };
}
