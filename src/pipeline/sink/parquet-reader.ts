import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  parquetReadObjects,
  parquetSchema,
  type AsyncBuffer,
  type FileMetaData,
  type RowGroup,
  type SchemaTree,
} from 'hyparquet';
import { ImagemillError } from '../../contract/errors.ts';
import { parseFooter } from '../source/parquet-footer.ts';
import { checkChunk, checkPages, chunkRange, pageColumn } from '../source/parquet-pages.ts';
import { parseRow, type CanonicalRow } from './canonical-row.ts';
import {
  CHECKSUM_KEY,
  EMBEDDING_COLUMN,
  formatChecksum,
  REQUIRED_COLUMNS,
  RESULTS_SCHEMA,
  SCHEMA_KEY,
} from './parquet-schema.ts';

// hyparquet's own decoder drops a leading byte order mark and hides damaged text.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const PARSERS = { stringFromBytes: (bytes: Uint8Array): string => utf8.decode(bytes) };

/** Reads a Parquet part, a row group at a time. @throws ImagemillError CONTRACT_INVALID, CONTRACT_VERSION_UNKNOWN */
export async function* readParquetPart(bytes: Uint8Array, where: string): AsyncGenerator<CanonicalRow[]> {
  const { metadata, columns, root } = readFooter(bytes, where);
  const file = asyncBuffer(bytes);
  let start = 0;
  for (const rowGroup of metadata.row_groups) {
    const end = start + Number(rowGroup.num_rows);
    const range = { rowStart: start, rowEnd: end };
    checkGroup(bytes, root, rowGroup, `${where}, rows from ${start} to ${end}`);
    const options = { file, metadata, columns, ...range, parsers: PARSERS, geoparquet: false };
    const rows = await parquetReadObjects(options).catch((error: unknown) => {
      throw damaged(where, `readable rows from ${start} to ${end}`, messageOf(error), error);
    });
    if (rows.length !== end - start) throw damaged(where, `rows from ${start} to ${end}`, `${rows.length}`);
    yield rows.map((row, index) => parseRow(row, `${where}, row ${start + index}`));
    start = end;
    await setImmediate();
  }
}

interface Footer {
  readonly metadata: FileMetaData;
  /** The known columns that the file has. */
  readonly columns: string[];
  readonly root: SchemaTree;
}

function readFooter(bytes: Uint8Array, where: string): Footer {
  let metadata: FileMetaData;
  let root: SchemaTree;
  try {
    metadata = parseFooter(bytes);
    root = parquetSchema(metadata);
  } catch (error) {
    throw damaged(where, 'a complete Parquet file', messageOf(error), error);
  }
  const names = root.children.map((child) => child.element.name);
  checkVersion(metadata, where);
  const missing = REQUIRED_COLUMNS.filter((column) => !names.includes(column));
  if (missing.length > 0) {
    throw damaged(where, `columns ${REQUIRED_COLUMNS.join(', ')}`, `none named ${missing.join(', ')}`);
  }
  checkIntegrity(metadata, bytes, where);
  const columns = [...REQUIRED_COLUMNS, ...names.filter((name) => name === EMBEDDING_COLUMN)];
  return { metadata, columns, root };
}

/** The checksum is in the file itself, so that a file made to do harm has the right one. */
function checkGroup(bytes: Uint8Array, root: SchemaTree, group: RowGroup, where: string): void {
  try {
    for (const { meta_data: chunk } of group.columns) {
      if (chunk === undefined) throw new Error('a column is not described');
      const column = pageColumn(root, chunk);
      checkChunk(group, chunk, column, bytes.length);
      const { start, end } = chunkRange(chunk);
      checkPages(bytes.subarray(start, end), chunk, column, {});
    }
  } catch (error) {
    throw damaged(where, 'readable pages', messageOf(error), error);
  }
}

function checkVersion(metadata: FileMetaData, where: string): void {
  const found = metadataValue(metadata, SCHEMA_KEY);
  if (found === RESULTS_SCHEMA) return;
  throw new ImagemillError(
    'CONTRACT_VERSION_UNKNOWN',
    `${where}: expected a Parquet file of "${RESULTS_SCHEMA}", got ${found === undefined ? `one without ${SCHEMA_KEY}` : `"${found}"`}`,
  );
}

/** Before anything is decoded, since damaged counts and run lengths would have the decoder fill the memory. */
function checkIntegrity(metadata: FileMetaData, bytes: Uint8Array, where: string): void {
  const rows = metadata.row_groups.reduce((sum, rowGroup) => sum + Number(rowGroup.num_rows), 0);
  if (rows !== Number(metadata.num_rows)) {
    throw damaged(where, `${metadata.num_rows} rows in its row groups`, String(rows));
  }
  const expected = metadataValue(metadata, CHECKSUM_KEY);
  if (expected === undefined) throw damaged(where, `a checksum under ${CHECKSUM_KEY}`, 'none');
  const checked = Number(expected.split(' ', 1)[0]);
  const found = formatChecksum(checked, crc32(bytes.subarray(0, checked)));
  if (found !== expected) {
    throw damaged(where, `row groups with the checksum "${expected}" of ${CHECKSUM_KEY}`, `"${found}"`);
  }
}

function metadataValue(metadata: FileMetaData, key: string): string | undefined {
  return metadata.key_value_metadata?.find((entry) => entry.key === key)?.value;
}

function asyncBuffer(bytes: Uint8Array): AsyncBuffer {
  return {
    byteLength: bytes.length,
    // A copy of the range alone: `bytes` may be a window of a larger buffer.
    slice: (start, end) => new Uint8Array(bytes.subarray(start, end)).buffer,
  };
}

function damaged(where: string, expected: string, got: string, cause?: unknown): ImagemillError {
  return new ImagemillError('CONTRACT_INVALID', `${where}: expected ${expected}, got ${got}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
