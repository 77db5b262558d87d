import { parquetMetadata, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { checkStruct } from './parquet-thrift.ts';

/** Bytes at the end of the file that are fetched first: most footers fit, and larger ones cost a second request. */
const TAIL_BYTES = 64 * 1024;
/** Length of the footer, then the magic number. */
const ENDING_BYTES = 8;
const MAGIC = 0x31524150;

/** Largest footer, in bytes: it takes some ten times as much in memory. */
export const MAX_FOOTER_BYTES = 64 * 1024 * 1024;

/** Columns, and what they are made of: each is held with the names of all that it is in. */
const MAX_SCHEMA_ELEMENTS = 10_000;

/**
 * The footer of a Parquet file that is read by ranges.
 * @throws Error that says what is wrong
 */
export async function readFooter(file: AsyncBuffer): Promise<FileMetaData> {
  const tail = new Uint8Array(await file.slice(Math.max(0, file.byteLength - TAIL_BYTES)));
  const footerBytes = footerLength(tail, file.byteLength);
  if (footerBytes <= tail.length) return parseFooter(tail.subarray(tail.length - footerBytes));
  return parseFooter(new Uint8Array(await file.slice(file.byteLength - footerBytes)));
}

/**
 * The footer of a Parquet file in memory, or of its last bytes.
 * @throws Error that says what is wrong
 */
export function parseFooter(bytes: Uint8Array): FileMetaData {
  const start = bytes.length - footerLength(bytes, bytes.length);
  const footer = bytes.subarray(start);
  checkStruct(new DataView(footer.buffer, footer.byteOffset, footer.length - ENDING_BYTES), 0);
  const metadata = parquetMetadata(footer, { geoparquet: false });
  if (metadata.schema.length > MAX_SCHEMA_ELEMENTS) {
    throw new Error(
      `the schema has ${metadata.schema.length} elements, at most ${MAX_SCHEMA_ELEMENTS} are read`,
    );
  }
  for (const { num_rows: rows } of metadata.row_groups) {
    if (typeof rows !== 'bigint' || rows < 0n || rows > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new Error('a row group has an impossible number of rows');
    }
  }
  return metadata;
}

/** With its ending. */
function footerLength(tail: Uint8Array, fileBytes: number): number {
  const at = tail.length - ENDING_BYTES;
  if (at < 0) throw new Error('the file is too short');
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  if (view.getUint32(at + 4, true) !== MAGIC) throw new Error('the file does not end in PAR1');
  const length = view.getUint32(at, true) + ENDING_BYTES;
  if (length > fileBytes) throw new Error(`the footer has ${length} bytes, the file has ${fileBytes}`);
  if (length > MAX_FOOTER_BYTES) {
    throw new Error(`the footer has ${length} bytes, at most ${MAX_FOOTER_BYTES} are read`);
  }
  return length;
}
