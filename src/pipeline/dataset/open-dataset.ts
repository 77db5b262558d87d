import { datasetDocument, type Dataset } from '../../contract/dataset.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { ledgerKeys } from '../../storage/ledger-keys.ts';
import type { ObjectStore, StoreResolver } from '../../storage/object-store.ts';
import { digestOfDataset } from './dataset-facts.ts';

/** `prepare --new` puts a dataset into a folder named after its run; names sort by time. */
const DATASET_OF_RUN = /^(r-[0-9A-HJKMNP-TV-Z]{26})\/dataset\.json$/;

export interface OpenedDataset {
  readonly dataset: Dataset;
  /** The dataset's directory. */
  readonly store: ObjectStore;
  readonly uri: string;
}

/**
 * Opens a prepared dataset. Where the location has none itself but folders of runs that have (`prepare --new`), the
 * newest of them.
 * @throws ImagemillError DATASET_NOT_FOUND, DATASET_CHANGED where the document was tampered with,
 *   CONTRACT_VERSION_UNKNOWN, CONTRACT_INVALID, URI_INVALID
 */
export async function openDataset(resolver: StoreResolver, uri: string): Promise<OpenedDataset> {
  const given = resolver.open(uri);
  const found = await readDataset(given);
  if (found !== null) return found;
  const newest = await newestRun(given);
  const below = newest === null ? null : await readDataset(resolver.open(given.uriOf(newest)));
  if (below !== null) return below;
  throw new ImagemillError(
    'DATASET_NOT_FOUND',
    `expected a prepared dataset at ${given.rootUri}, ${await describePlace(given)}`,
  );
}

async function readDataset(store: ObjectStore): Promise<OpenedDataset | null> {
  const bytes = await orAbsent(store.get(ledgerKeys.dataset));
  if (bytes === null) return null;
  const where = store.uriOf(ledgerKeys.dataset);
  const dataset = datasetDocument.decode(bytes, where);
  const digest = digestOfDataset(dataset);
  if (digest !== dataset.digest) {
    throw new ImagemillError(
      'DATASET_CHANGED',
      `${where}: expected contents with the digest ${dataset.digest}, got ${digest}`,
    );
  }
  return { dataset, store, uri: store.rootUri };
}

async function newestRun(store: ObjectStore): Promise<string | null> {
  let newest: string | null = null;
  try {
    for await (const page of store.list('r-')) {
      for (const { key } of page) newest = DATASET_OF_RUN.exec(key)?.[1] ?? newest;
    }
  } catch (error) {
    if (error instanceof ImagemillError && error.code === 'STORE_NOT_FOUND') return null;
    throw error;
  }
  return newest;
}

async function describePlace(store: ObjectStore): Promise<string> {
  const run = await orAbsent(store.head(ledgerKeys.run));
  return run === null
    ? `found no ${ledgerKeys.dataset}; make one with: imagemill prepare SOURCE --out ${store.rootUri}`
    : `found a run that has not written ${ledgerKeys.dataset}; see: imagemill status ${store.rootUri}`;
}

async function orAbsent<T>(pending: Promise<T>): Promise<T | null> {
  try {
    return await pending;
  } catch (error) {
    const absent = ['OBJECT_NOT_FOUND', 'STORE_NOT_FOUND'];
    if (error instanceof ImagemillError && absent.includes(error.code)) return null;
    throw error;
  }
}
