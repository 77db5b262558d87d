import type { PartFormat, ResultRow } from '../../contract/rows.ts';
import { readCsvPart } from './csv-format.ts';
import { readJsonlPart } from './jsonl-format.ts';
import { readParquetPart } from './parquet-reader.ts';

const READERS: Record<PartFormat, (bytes: Uint8Array, where: string) => AsyncIterable<ResultRow[]>> = {
  parquet: readParquetPart,
  jsonl: readJsonlPart,
  csv: readCsvPart,
};

/**
 * Reads a part back, in order, in batches: a row group each (Parquet), or up to 1,000 rows (JSONL, CSV).
 * Every format gives the same rows: scores are the shortest decimals of their float32, embeddings are Float32Array.
 * Columns that this version does not know are left out. JSONL and CSV cannot tell a part that was cut between two
 * rows; the digest and the counts of its commit can.
 * @param where what the bytes are, for the message
 * @throws ImagemillError CONTRACT_INVALID for a truncated or damaged part,
 *   CONTRACT_VERSION_UNKNOWN for a Parquet part of another version
 */
export function readPart(
  bytes: Uint8Array,
  format: PartFormat,
  where = `${format} part`,
): AsyncIterable<ResultRow[]> {
  return READERS[format](bytes, where);
}
