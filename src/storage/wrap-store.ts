import type { ObjectStore } from './object-store.ts';

/** A store that passes everything on to another one, but for the methods that `changes` replaces. */
export function wrapStore(store: ObjectStore, changes: Partial<ObjectStore>): ObjectStore {
  return {
    rootUri: store.rootUri,
    uriOf: (key) => store.uriOf(key),
    get: (key, options) => store.get(key, options),
    getStream: (key, options) => store.getStream(key, options),
    head: (key) => store.head(key),
    list: (prefix, options) => store.list(prefix, options),
    put: (key, body) => store.put(key, body),
    putIfAbsent: (key, body) => store.putIfAbsent(key, body),
    putStream: (key, chunks, signal) => store.putStream(key, chunks, signal),
    delete: (key) => store.delete(key),
    discardUnfinished: (before) => store.discardUnfinished(before),
    ...changes,
  };
}
