import { setImmediate } from 'node:timers/promises';

/** Limits of one batch of rows that a reader hands out, and so of how long it works in one go. */
const READ_BATCH_ROWS = 1000;
const READ_BATCH_BYTES = 1024 * 1024;

/** Groups values into batches and lets the event loop turn after each. */
export async function* batched<T>(
  values: Iterable<{ value: T; bytes: number }> | AsyncIterable<{ value: T; bytes: number }>,
): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let batchBytes = 0;
  for await (const { value, bytes } of values) {
    batch.push(value);
    batchBytes += bytes;
    if (batch.length >= READ_BATCH_ROWS || batchBytes >= READ_BATCH_BYTES) {
      yield batch;
      batch = [];
      batchBytes = 0;
      await setImmediate();
    }
  }
  if (batch.length > 0) yield batch;
}
