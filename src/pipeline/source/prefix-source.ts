import { z } from 'zod';
import type { ObjectInfo, ObjectStore } from '../../storage/object-store.ts';
import { asSourcePages, parsePosition, type Listing } from './listing.ts';
import { baseName, isImageName, isNeverAnItem } from './names.ts';

/** Lists every object below a store's root, in key order. The position is the key. */
export function prefixListing(store: ObjectStore): Listing {
  return {
    isImage: isImageName,
    async *list(position, signal) {
      const startAfter = position === undefined ? undefined : parsePosition(z.string(), position);
      const pages = store.list('', {
        ...(startAfter === undefined ? {} : { startAfter }),
        ...(signal === undefined ? {} : { signal }),
      });
      for await (const page of asSourcePages(pages, store.rootUri)) {
        const items = page
          .filter(({ key }) => !isNeverAnItem(key))
          .map(({ key, bytes }) => ({
            item: { uri: store.uriOf(key), bytes },
            name: key,
            position: key,
          }));
        if (items.length > 0) yield items;
      }
    },
  };
}

/** The listing of one image that was named itself. */
export function singleListing(store: ObjectStore, object: ObjectInfo): Listing {
  const { key, bytes } = object;
  return {
    async *list(position) {
      if (position !== undefined) return;
      yield [{ item: { uri: store.uriOf(key), bytes }, name: baseName(key), position: key }];
    },
  };
}
