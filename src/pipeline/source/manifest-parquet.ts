import {
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type AsyncBuffer,
  type ParquetScan,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import { PAGE_ITEMS, parsePosition } from './listing.ts';
import { manifestError, type ManifestFile, type ManifestRow } from './manifest-row.ts';

/** Rows decoded at a time: bounds memory and the time the thread is held within a row group. */
const WINDOW_ROWS = 20_000;
/** Largest column of one row group, in bytes: it is in memory while its rows are listed. */
const MAX_CHUNK_BYTES = 512 * 1024 * 1024;
/** Ranges kept: dictionary, index and pages of two columns. */
const CACHED_RANGES = 8;

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
  const { scan, columns } = await decoding(file, 'footer', () => openScan(file, buffer));

  for (const range of scan.ranges) {
    for (let start = Math.max(range.rowStart, listed); start < range.rowEnd; start += WINDOW_ROWS) {
      signal?.throwIfAborted();
      const end = Math.min(start + WINDOW_ROWS, range.rowEnd);
      const [uris, labels] = await decoding(file, `row ${start + 1}`, () =>
        Promise.all(columns.map((column) => scan.readColumn({ column, rowStart: start, rowEnd: end }))),
      );
      for (let first = start; first < end; first += PAGE_ITEMS) {
        const rows = Math.min(PAGE_ITEMS, end - first);
        yield Array.from({ length: rows }, (_, index) => {
          const row = first + index;
          const place = `row ${row + 1}`;
          return { uri: uris?.[row - start], label: labels?.[row - start], place, position: [row + 1] };
        });
      }
    }
  }
}

async function openScan(
  file: ManifestFile,
  buffer: AsyncBuffer,
): Promise<{ scan: ParquetScan; columns: string[] }> {
  const metadata = await parquetMetadataAsync(buffer);
  const found = parquetSchema(metadata).children;
  const names = found.map((column) => column.element.name);
  if (!names.includes('uri')) {
    throw manifestError(file, 'schema', `expected a column "uri", got: ${names.join(', ').slice(0, 200)}`);
  }
  const columns = ['uri', 'label'].filter((name) => names.includes(name));
  for (const [index, group] of metadata.row_groups.entries()) {
    for (const { meta_data: chunk } of group.columns) {
      if (chunk === undefined || !columns.includes(chunk.path_in_schema[0] ?? '')) continue;
      const bytes = Math.max(Number(chunk.total_uncompressed_size), Number(chunk.total_compressed_size));
      if (bytes <= MAX_CHUNK_BYTES) continue;
      const fault = `expected columns of at most ${MAX_CHUNK_BYTES} bytes per row group, got ${bytes} (write smaller row groups)`;
      throw manifestError(file, `row group ${index + 1}`, fault);
    }
  }
  return { scan: await parquetScan({ file: buffer, metadata, columns, compressors }), columns };
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

/** The object as the decoder sees it. Keeps the latest ranges: windows of one row group read the same ones. */
function rangeBuffer(file: ManifestFile, signal: AbortSignal | undefined): AsyncBuffer {
  const cache = new Map<string, Promise<ArrayBuffer>>();

  async function fetchRange(start: number, end: number): Promise<ArrayBuffer> {
    const range = { offset: start, length: end - start };
    const bytes = await file.store.get(file.key, signal === undefined ? { range } : { range, signal });
    const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
    // The decoder takes an ArrayBuffer; a view of a larger one, or of shared memory, has to be copied.
    return whole && bytes.buffer instanceof ArrayBuffer ? bytes.buffer : Uint8Array.from(bytes).buffer;
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
