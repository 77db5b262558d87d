import { datasetIndexDocument, type DatasetIndex } from '../../contract/dataset.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { sha256 } from '../../storage/digest.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** What a dataset or a commit says of a tar and its index. */
export interface IndexedTar {
  readonly tar: string;
  /** Key of the index. */
  readonly index: string;
  readonly indexDigest: string;
  readonly items: number;
  /** Of the tar. */
  readonly bytes: number;
  readonly digest: string;
}

/**
 * Reads the index of a tar. Parsing takes some 3 µs for an image, in one piece: a tar of more than 30,000 images
 * holds the event loop for longer than 100 ms.
 * @throws ImagemillError DATASET_CHANGED where it is not the one that was written, or is gone
 */
export async function readIndex(
  store: ObjectStore,
  expected: IndexedTar,
  signal?: AbortSignal,
): Promise<DatasetIndex> {
  const uri = store.uriOf(expected.index);
  const bytes = await store
    .get(expected.index, signal === undefined ? {} : { signal })
    .catch((error: unknown) => {
      throw asChanged(error, uri);
    });
  const digest = sha256(bytes);
  if (digest !== expected.indexDigest) {
    throw new ImagemillError(
      'DATASET_CHANGED',
      `${uri}: expected an index with the digest ${expected.indexDigest}, got ${digest}`,
    );
  }
  const index = datasetIndexDocument.decode(bytes, uri);
  const fault = faultOf(index, expected);
  if (fault === undefined) return index;
  throw new ImagemillError('DATASET_CHANGED', `${uri}: expected an index of ${expected.tar}, got ${fault}`);
}

/** A failure of a store, told in terms of the dataset: what is gone has changed. */
export function asChanged(error: unknown, uri: string): unknown {
  if (!(error instanceof ImagemillError) || error.code !== 'OBJECT_NOT_FOUND') return error;
  return new ImagemillError('DATASET_CHANGED', `${uri}: expected an object of the dataset, found none`, {
    cause: error,
  });
}

function faultOf(index: DatasetIndex, expected: IndexedTar): string | undefined {
  if (index.tar !== expected.tar || index.digest !== expected.digest || index.bytes !== expected.bytes) {
    return `one of ${index.tar} with ${index.bytes} bytes and the digest ${index.digest}`;
  }
  const { keys, classes, offsets, lengths, widths, heights, digests, uris } = index;
  const columns = { keys, classes, offsets, lengths, widths, heights, digests, uris };
  for (const [name, column] of Object.entries(columns)) {
    if (column.length !== expected.items)
      return `${column.length} ${name} where it has ${expected.items} images`;
  }
  const unlabelled = classes.findIndex((label) => label >= index.labels.length);
  if (unlabelled >= 0) return `no label for image ${unlabelled}`;
  const outside = offsets.findIndex((offset, item) => offset + (lengths[item] ?? 0) > index.bytes);
  return outside < 0 ? undefined : `an image ${outside} that ends after the tar`;
}
