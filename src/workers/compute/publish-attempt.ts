import type { WrittenObject } from '../../contract/ledger.ts';
import { modelOfCheckpoint } from '../../pipeline/model/checkpoint.ts';
import { writeBytes } from '../../pipeline/sink/write-bytes.ts';
import type { RunCache } from '../run-cache.ts';
import type { PublishTask } from './protocol.ts';

/** Writes the model of a checkpoint. */
export async function publishAttempt(
  { out, checkpoint, models }: PublishTask,
  signal: AbortSignal,
  runs: RunCache,
): Promise<WrittenObject> {
  const { ledger } = await runs.open(out);
  const { store } = ledger;
  const model = modelOfCheckpoint(await store.get(checkpoint), store.uriOf(checkpoint));
  const written: WrittenObject[] = [];
  for (const key of models) written.push(await writeBytes(store, key, model, 1, signal));
  return written[0] ?? { key: '', bytes: 0, digest: '', rows: 0 };
}
