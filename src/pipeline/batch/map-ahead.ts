/**
 * Maps a sequence with up to `ahead` calls running before their results are asked for. Results come in the order of
 * the input. This is the one bounded queue between two stages: when the reader stops reading, the stage stops.
 * @param ahead calls in progress at most, 1 or more
 * @param dispose receives results nobody will read, when the reader leaves early or a call fails
 */
export async function* mapAhead<T, R>(
  source: Iterable<T> | AsyncIterable<T>,
  ahead: number,
  map: (value: T) => Promise<R>,
  dispose: (result: R) => void = () => {},
): AsyncGenerator<R> {
  const pending: Promise<R>[] = [];
  try {
    for await (const value of source) {
      const result = map(value);
      // A failure is reported when its turn comes; until then it must not count as unhandled.
      result.catch(() => {});
      pending.push(result);
      if (pending.length >= ahead) yield await takeFirst(pending);
    }
    while (pending.length > 0) yield await takeFirst(pending);
  } finally {
    for (const result of await Promise.allSettled(pending)) {
      if (result.status === 'fulfilled') dispose(result.value);
    }
  }
}

function takeFirst<R>(pending: Promise<R>[]): Promise<R> {
  const first = pending.shift();
  if (first === undefined) throw new Error('expected a pending result');
  return first;
}
