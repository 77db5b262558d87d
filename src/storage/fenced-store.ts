import type { ObjectStore } from './object-store.ts';
import { wrapStore } from './wrap-store.ts';

/** Decides who was first where the store cannot. Names are URIs of objects. */
export interface Fence {
  /**
   * Claims a name for a value: of all claims the first one stands.
   * @returns the value that stands, or null where the object with that value has been written already
   */
  claim(name: string, value: Uint8Array): Promise<Uint8Array | null>;
  /** Says that the object of a claimed name has been written. */
  settle(name: string): Promise<void>;
}

/**
 * A store without conditional put, whose `putIfAbsent` holds all the same: a claim decides, and whoever loses it writes
 * the winner's bytes, so that a winner that dies after its claim has still won, and writing late changes nothing.
 */
export function fencedStore(store: ObjectStore, fence: Fence): ObjectStore {
  return wrapStore(store, {
    putIfAbsent: async (key, body) => {
      // The store outlives the claims: what it holds was first, whatever the fence has forgotten.
      if ((await store.head(key)) !== null) return false;
      const name = store.uriOf(key);
      const standing = await fence.claim(name, body);
      if (standing === null) return false;
      await store.put(key, standing);
      await fence.settle(name);
      return Buffer.compare(standing, body) === 0;
    },
  });
}

/**
 * A store without conditional put, for those that have no fence: nothing they write is ever the first of its name, so
 * they turn to names of their own.
 */
export function neverFirstStore(store: ObjectStore): ObjectStore {
  return wrapStore(store, { putIfAbsent: async () => false });
}

/**
 * A store without conditional put, for a person's single request: looks and then writes. Two at once can both believe
 * to have been first; whoever uses this reads back what stands.
 */
export function lookFirstStore(store: ObjectStore): ObjectStore {
  return wrapStore(store, {
    putIfAbsent: async (key, body) => {
      if ((await store.head(key)) !== null) return false;
      await store.put(key, body);
      return true;
    },
  });
}
