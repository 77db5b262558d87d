import { createHash } from 'node:crypto';
import type { WrittenObject } from '../../contract/ledger.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** Bytes that are hashed and handed to the store at a time: hashing holds the event loop. */
const PIECE_BYTES = 8 * 1024 * 1024;

/** Writes an object that is in memory. */
export async function writeBytes(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  rows: number,
  signal: AbortSignal,
): Promise<WrittenObject> {
  const hash = createHash('sha256');
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      const piece = bytes.subarray(start, start + PIECE_BYTES);
      hash.update(piece);
      yield piece;
    }
  }
  const written = await store.putStream(key, pieces(), signal);
  return { key, bytes: written, digest: `sha256:${hash.digest('hex')}`, rows };
}
