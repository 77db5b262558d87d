import { setMaxListeners } from 'node:events';

/** One signal may stop any number of requests at once; Node warns of a leak from the eleventh listener on. */
export function allowManyListeners(signal: AbortSignal | undefined): void {
  if (signal !== undefined) setMaxListeners(0, signal);
}

/**
 * Waits for `pending` or for the signal, whichever comes first.
 * Unlike `Promise.race` with one promise per signal, nothing stays attached to the signal afterwards.
 * @throws the signal's reason
 */
export function orAbort<T>(pending: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return pending;
  allowManyListeners(signal);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    void pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * The chunks of a stream until the signal aborts, also while the stream is silent.
 * @throws the signal's reason, never a silent end: a cut stream must not pass for a complete one
 */
export async function* untilAborted<T>(
  chunks: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const iterator = chunks[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const next = await orAbort(iterator.next(), signal);
      if (next.done === true) {
        ended = true;
        signal?.throwIfAborted();
        return;
      }
      yield next.value;
    }
  } finally {
    // Not awaited: a generator that hangs in next() would hang in return() as well.
    if (!ended) void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** The body of a streamed put: counts its bytes, and remembers whether it was the body itself that failed. */
export class CountedChunks implements AsyncIterable<Uint8Array> {
  bytes = 0;
  /** The body's own error or the signal's reason, to be passed on as it is and not taken for the store's. */
  failure: { readonly reason: unknown } | undefined;
  readonly #chunks: AsyncIterable<Uint8Array>;
  readonly #signal: AbortSignal | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#chunks = chunks;
    this.#signal = signal;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of untilAborted(this.#chunks, this.#signal)) {
        this.bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      this.failure = { reason: error };
      throw error;
    }
  }
}
