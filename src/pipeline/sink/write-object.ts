import { createHash } from 'node:crypto';
import type { Part } from '../../contract/ledger.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { StageClock } from '../batch/stage-clock.ts';

/** What a commit says of a part, or of the errors beside it. */
export type WrittenObject = Part['part'];

/** Streams encoded rows into one object, and counts and digests them on the way. */
export async function writeObject(
  store: ObjectStore,
  key: string,
  chunks: AsyncIterable<{ readonly bytes: Uint8Array; readonly rows: number }>,
  clock: StageClock,
  signal: AbortSignal,
): Promise<WrittenObject> {
  const hash = createHash('sha256');
  let rows = 0;
  let waitedForRowsMs = 0;
  const startedAtMs = performance.now();

  async function* counted(): AsyncGenerator<Uint8Array> {
    let askedAtMs = performance.now();
    for await (const chunk of chunks) {
      waitedForRowsMs += performance.now() - askedAtMs;
      rows += chunk.rows;
      hash.update(chunk.bytes);
      if (chunk.bytes.length > 0) yield chunk.bytes;
      askedAtMs = performance.now();
    }
  }

  const bytes = await store.putStream(key, counted(), signal);
  clock.add('write', performance.now() - startedAtMs - waitedForRowsMs);
  return { key, bytes, digest: `sha256:${hash.digest('hex')}`, rows };
}
