import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import type { ObjectInfo, ObjectStore } from '../../storage/object-store.ts';
import { expandBraces } from './brace-expansion.ts';
import { asSourceError, asSourcePages, parsePosition } from './listing.ts';
import { baseName, isTarName } from './names.ts';

/** A tar to be read, and the position from which the set goes on with it. */
export interface TarObject {
  readonly store: ObjectStore;
  readonly key: string;
  readonly bytes: number;
  readonly position: string | number;
}

/** Tars in a fixed order. */
export interface TarSet {
  /** The tars from `position` on, that one included; all where it is undefined. */
  from(position: unknown, signal?: AbortSignal): AsyncIterable<TarObject>;
}

/** One tar, or several named in brace notation (`train-{000..146}.tar`); the position is the index. */
export function namedTars(store: ObjectStore, key: string, isLiteral: boolean): TarSet {
  return {
    async *from(position) {
      const first = position === undefined ? 0 : parsePosition(z.number().int().nonnegative(), position);
      let index = 0;
      for (const name of isLiteral ? [key] : expandBraces(key)) {
        if (index >= first) {
          const { bytes } = await findTar(store, name);
          yield { store, key: name, bytes, position: index };
        }
        index += 1;
      }
    },
  };
}

/** Every tar below a store's root, in key order; the position is the key. */
export function tarsOfPrefix(store: ObjectStore): TarSet {
  return {
    async *from(position, signal) {
      const from = position === undefined ? undefined : parsePosition(z.string(), position);
      if (from !== undefined) {
        const { bytes } = await findTar(store, from);
        yield { store, key: from, bytes, position: from };
      }
      const pages = store.list('', {
        ...(from === undefined ? {} : { startAfter: from }),
        ...(signal === undefined ? {} : { signal }),
      });
      for await (const page of asSourcePages(pages, store.rootUri)) {
        for (const { key, bytes } of page) {
          if (isTarKey(key)) yield { store, key, bytes, position: key };
        }
      }
    },
  };
}

/** Whether a listed key is a tar of the collection; hidden files are not. */
export function isTarKey(key: string): boolean {
  return isTarName(key) && !baseName(key).startsWith('.');
}

async function findTar(store: ObjectStore, key: string): Promise<ObjectInfo> {
  const info = await store.head(key).catch((error: unknown) => {
    throw asSourceError(error, store.uriOf(key));
  });
  if (info !== null) return info;
  throw new ImagemillError('SOURCE_NOT_FOUND', `expected a tar at ${store.uriOf(key)}, found none`);
}
