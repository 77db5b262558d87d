import { ImagemillError } from '../../contract/errors.ts';
import { sha256 } from '../../storage/digest.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { asChanged, type IndexedTar } from './read-index.ts';

/**
 * Tars of one split that are held in memory, in bytes: with images of a kilobyte, opening a file for each costs more
 * than decoding it.
 */
export const MAX_HELD_TAR_BYTES = 256 * 1024 * 1024;

/** Reads `length` bytes at `offset` of a tar, by its position among the tars. */
export type TarReader = (
  tar: number,
  offset: number,
  length: number,
  signal?: AbortSignal,
) => Promise<Uint8Array>;

/**
 * Reads images out of tars: from memory where all tars together are small, each loaded once when first needed, else
 * by one ranged read for an image.
 * @throws ImagemillError DATASET_CHANGED, the store's errors
 */
export function createTarReader(
  store: ObjectStore,
  tars: readonly IndexedTar[],
  maxHeldBytes = MAX_HELD_TAR_BYTES,
): TarReader {
  const total = tars.reduce((sum, { bytes }) => sum + bytes, 0);
  const held = new Map<number, Promise<Uint8Array>>();

  function hold(position: number): Promise<Uint8Array> {
    const earlier = held.get(position);
    if (earlier !== undefined) return earlier;
    // Not stopped by the signal of whoever came first: others wait for it as well.
    const loading = loadTar(store, tarAt(tars, position));
    held.set(position, loading);
    // What failed is tried again by the next one who asks.
    loading.catch(() => held.delete(position));
    return loading;
  }

  return async (position, offset, length, signal) => {
    signal?.throwIfAborted();
    if (total > maxHeldBytes) {
      return readRange(store, tarAt(tars, position).tar, { offset, length }, signal);
    }
    const tar = await hold(position);
    signal?.throwIfAborted();
    // A copy: what is handed out may be transferred to another thread.
    return new Uint8Array(tar.subarray(offset, offset + length));
  };
}

async function readRange(
  store: ObjectStore,
  key: string,
  range: { offset: number; length: number },
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const uri = store.uriOf(key);
  const bytes = await store
    .get(key, signal === undefined ? { range } : { range, signal })
    .catch((error: unknown) => {
      throw asChanged(error, uri);
    });
  if (bytes.length === range.length) return bytes;
  throw new ImagemillError(
    'DATASET_CHANGED',
    `${uri}: expected ${range.length} bytes at ${range.offset}, got ${bytes.length}`,
  );
}

async function loadTar(store: ObjectStore, { tar, bytes, digest }: IndexedTar): Promise<Uint8Array> {
  const uri = store.uriOf(tar);
  const body = await store.get(tar).catch((error: unknown) => {
    throw asChanged(error, uri);
  });
  const found = sha256(body);
  if (found === digest && body.length === bytes) return body;
  throw new ImagemillError(
    'DATASET_CHANGED',
    `${uri}: expected a tar of ${bytes} bytes with the digest ${digest}, got one of ${body.length} with ${found}`,
  );
}

function tarAt(tars: readonly IndexedTar[], position: number): IndexedTar {
  const tar = tars[position];
  if (tar !== undefined) return tar;
  throw new ImagemillError('INTERNAL', `expected a tar from 0 to ${tars.length - 1}, got ${position}`);
}
