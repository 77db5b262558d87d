import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  parquetScan,
  parquetSchema,
  type AsyncBuffer,
  type FileMetaData,
  type ParquetScan,
  type RowGroup,
} from 'hyparquet';
import type { ColumnMetaData, Compressors } from 'hyparquet/src/types.js';
import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import { PAGE_ITEMS, parsePosition } from './listing.ts';
import { manifestError, type ManifestFile, type ManifestRow } from './manifest-row.ts';
import { readFooter } from './parquet-footer.ts';
import { checkChunk, checkPages, chunkRange, pageCodecs, pageColumn } from './parquet-pages.ts';

/**
 * Rows decoded at a time within a row group: bounds memory, and the thread is held for some 100 ms. Pages that two
 * windows share are decoded twice, so a row group of the usual 122,880 rows should be one window.
 */
const WINDOW_ROWS = 125_000;
/** Ranges kept: the two columns of the current row group. */
const CACHED_RANGES = 2;

interface ScanOptions {
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: readonly string[];
  readonly compressors: Compressors;
}

/** Rows listed so far. */
const positionSchema = z.tuple([z.number().int().nonnegative()]);

/** Reads a Parquet manifest with a column `uri` and, if known, `label`, by range reads of these columns only. */
export async function* readParquetManifest(
  file: ManifestFile,
  position: readonly number[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ManifestRow[]> {
  const [listed] = position === undefined ? [0] : parsePosition(positionSchema, position);
  const buffer = rangeBuffer(file, signal);
  const metadata = await decoding(file, 'footer', () => readFooter(buffer));
  const columns = await decoding(file, 'schema', async () => findColumns(file, metadata));
  const compressors = pageCodecs();
  const options = { file: buffer, metadata, columns, compressors, useOffsetIndex: false };
  const scan = await decoding(file, 'footer', () => parquetScan(options));

  let groupStart = 0;
  for (const [index, group] of metadata.row_groups.entries()) {
    const groupEnd = groupStart + Number(group.num_rows);
    if (groupEnd > listed) {
      await decoding(file, `row group ${index + 1}`, () => checkGroup(options, group));
    }
    for (let start = Math.max(groupStart, listed); start < groupEnd; start += WINDOW_ROWS) {
      signal?.throwIfAborted();
      const end = Math.min(start + WINDOW_ROWS, groupEnd);
      const values = await decoding(file, `row ${start + 1}`, () => readWindow(scan, columns, start, end));
      yield* pagesOf(values, start, end);
    }
    groupStart = groupEnd;
  }
}

/** The values of each column, for rows `start` to `end` (exclusive). */
async function readWindow(
  scan: ParquetScan,
  columns: readonly string[],
  start: number,
  end: number,
): Promise<ArrayLike<unknown>[]> {
  const values: ArrayLike<unknown>[] = [];
  for (const column of columns) {
    values.push(await scan.readColumn({ column, rowStart: start, rowEnd: end }));
    await nextTurn();
  }
  return values;
}

function* pagesOf(
  values: readonly ArrayLike<unknown>[],
  start: number,
  end: number,
): Generator<ManifestRow[]> {
  const [uris, labels] = values;
  for (let first = start; first < end; first += PAGE_ITEMS) {
    yield Array.from({ length: Math.min(PAGE_ITEMS, end - first) }, (_, index) => {
      const row = first + index;
      return {
        uri: uris?.[row - start],
        label: labels?.[row - start],
        place: `row ${row + 1}`,
        position: [row + 1],
      };
    });
  }
}

function findColumns(file: ManifestFile, metadata: FileMetaData): string[] {
  const found = parquetSchema(metadata).children;
  const names = found.map(({ element }) => element.name);
  if (!names.includes('uri')) {
    const fault = `expected a column "uri", got: ${names.join(', ').slice(0, 200)}`;
    throw manifestError(file, 'schema', fault);
  }
  const columns = found.filter(({ element }) => element.name === 'uri' || element.name === 'label');
  for (const { element, children } of columns) {
    if (children.length === 0 && element.repetition_type !== 'REPEATED') continue;
    throw manifestError(
      file,
      'schema',
      `expected one value per row in the column "${element.name}", got several`,
    );
  }
  // In this order, whatever the file's: the rest of this module counts on it.
  return names.includes('label') ? ['uri', 'label'] : ['uri'];
}

async function checkGroup(
  { file, metadata, columns, compressors }: ScanOptions,
  group: RowGroup,
): Promise<void> {
  const root = parquetSchema(metadata);
  const chunks = group.columns
    .map((column) => column.meta_data)
    .filter((chunk): chunk is ColumnMetaData => columns.includes(chunk?.path_in_schema[0] ?? ''));
  if (chunks.length !== columns.length) throw new Error('a row group lacks a column');
  for (const chunk of chunks) {
    const column = pageColumn(root, chunk);
    checkChunk(group, chunk, column, file.byteLength);
    const { start, end } = chunkRange(chunk);
    checkPages(new Uint8Array(await file.slice(start, end)), chunk, column, compressors);
  }
}

/** Runs a step of the decoder; what it cannot read becomes MANIFEST_INVALID, what the store says stays. */
async function decoding<T>(file: ManifestFile, place: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof ImagemillError || (error as Error).name === 'AbortError') throw error;
    throw manifestError(file, place, `expected Parquet (${(error as Error).message})`, { cause: error });
  }
}

/** The object as the decoder sees it. Keeps the latest ranges, since windows of one row group read the same ones. */
function rangeBuffer(file: ManifestFile, signal: AbortSignal | undefined): AsyncBuffer {
  const cache = new Map<string, Promise<ArrayBuffer>>();

  async function fetchRange(start: number, end: number): Promise<ArrayBuffer> {
    const range = { offset: start, length: end - start };
    const bytes = await file.store.get(file.key, signal === undefined ? { range } : { range, signal });
    const isWhole = bytes.byteLength === bytes.buffer.byteLength;
    // The decoder takes an ArrayBuffer: a view of a larger one, or of shared memory, has to be copied.
    return isWhole && bytes.buffer instanceof ArrayBuffer ? bytes.buffer : Uint8Array.from(bytes).buffer;
  }

  return {
    byteLength: file.bytes,
    slice(start, end = file.bytes) {
      const from = Math.max(0, start);
      const to = Math.min(end, file.bytes);
      if (to <= from) return new ArrayBuffer(0);
      const id = `${from}-${to}`;
      const fetched = cache.get(id) ?? fetchRange(from, to);
      cache.delete(id);
      cache.set(id, fetched);
      const oldest = cache.keys().next();
      if (cache.size > CACHED_RANGES && oldest.done !== true) cache.delete(oldest.value);
      return fetched;
    },
  };
}
