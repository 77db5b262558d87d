import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import { asSourceError, asSourcePages, parsePosition, type Listing } from './listing.ts';
import { readCsvManifest } from './manifest-csv.ts';
import { readJsonlManifest } from './manifest-jsonl.ts';
import { readParquetManifest } from './manifest-parquet.ts';
import { manifestError, RowReader, type ManifestFile, type ManifestReader } from './manifest-row.ts';

const READERS: Record<string, ManifestReader> = {
  csv: readCsvManifest,
  jsonl: readJsonlManifest,
  ndjson: readJsonlManifest,
  parquet: readParquetManifest,
};

/** The manifest's etag, then the position within its format. */
const positionSchema = z.tuple([z.string()], z.number().int());

/** Whether a URI ends like a manifest. */
export function isManifestName(uri: string): boolean {
  return readerOf(uri) !== undefined;
}

/**
 * Opens a manifest: a CSV, JSON lines or Parquet object that names images by `uri`, with an optional `label`.
 * @throws ImagemillError URI_INVALID, SOURCE_NOT_FOUND; the listing throws MANIFEST_INVALID with the line
 */
export async function openManifest(uri: string, resolver: StoreResolver): Promise<Listing> {
  const reader = readerOf(uri);
  if (reader === undefined) {
    const expected = Object.keys(READERS).map((extension) => `.${extension}`);
    throw new ImagemillError('URI_INVALID', `${uri}: expected a manifest (${expected.join(', ')})`);
  }
  await openFile(uri, resolver);
  return {
    async *list(position, signal) {
      const [etag, ...after] = position === undefined ? [undefined] : parsePosition(positionSchema, position);
      const file = await openFile(uri, resolver);
      if (etag !== undefined && etag !== file.etag) {
        throw manifestError(file, 'changed', 'expected the manifest that the listing began with');
      }
      const rowReader = new RowReader(file, resolver);
      const pages = reader(file, etag === undefined ? undefined : after, signal);
      for await (const rows of asSourcePages(pages, uri)) {
        yield rows.map((row) => ({ ...rowReader.read(row), position: [file.etag, ...row.position] }));
      }
    },
  };
}

function readerOf(uri: string): ManifestReader | undefined {
  return READERS[/\.([a-z]+)$/i.exec(uri)?.[1]?.toLowerCase() ?? ''];
}

async function openFile(uri: string, resolver: StoreResolver): Promise<ManifestFile & { etag: string }> {
  const { store, key } = resolver.resolve(uri);
  const info = await store.head(key).catch((error: unknown) => {
    throw asSourceError(error, uri);
  });
  if (info === null) {
    throw new ImagemillError('SOURCE_NOT_FOUND', `expected a manifest at ${uri}, found none`);
  }
  return { uri: store.uriOf(key), store, key, bytes: info.bytes, etag: info.etag };
}
