import { beforeEach, describe, expect, it } from 'vitest';
import { fencedStore, lookFirstStore, neverFirstStore, type Fence } from '../../src/storage/fenced-store.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';

/** Redis as the fence uses it, in memory. */
class MemoryFence implements Fence {
  readonly claims = new Map<string, Uint8Array | null>();
  async claim(name: string, value: Uint8Array) {
    if (!this.claims.has(name)) this.claims.set(name, value);
    return this.claims.get(name) ?? null;
  }
  async settle(name: string) {
    this.claims.set(name, null);
  }
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
let careless: ObjectStore;
let fence: MemoryFence;

beforeEach(() => {
  const store = new MemoryStore(new MemoryBucket('out'));
  careless = wrapStore(store, {
    putIfAbsent: async (key, body) => {
      await store.put(key, body);
      return true;
    },
  });
  fence = new MemoryFence();
});

describe('fencedStore', () => {
  it('lets one of many win, and its bytes stay', async () => {
    const store = fencedStore(careless, fence);
    for (let race = 0; race < 50; race += 1) {
      const key = `commits/${race}.json`;
      const wins = await Promise.all(
        Array.from({ length: 8 }, (_, racer) => store.putIfAbsent(key, bytesOf(`racer ${racer}`))),
      );
      expect(wins.filter(Boolean)).toHaveLength(1);
      expect(textOf(await store.get(key))).toBe(`racer ${wins.indexOf(true)}`);
      expect(await store.putIfAbsent(key, bytesOf('late'))).toBe(false);
    }
  });

  it('finishes what a winner that died after its claim had won', async () => {
    await fence.claim(careless.uriOf('k'), bytesOf('winner'));
    expect(await fencedStore(careless, fence).putIfAbsent('k', bytesOf('second'))).toBe(false);
    expect(textOf(await careless.get('k'))).toBe('winner');
  });

  it('believes the store where the fence has forgotten everything', async () => {
    await fencedStore(careless, fence).putIfAbsent('k', bytesOf('first'));
    fence.claims.clear();
    expect(await fencedStore(careless, fence).putIfAbsent('k', bytesOf('second'))).toBe(false);
    expect(textOf(await careless.get('k'))).toBe('first');
  });

  it('knows a claim of its own whose reply was lost', async () => {
    await fence.claim(careless.uriOf('k'), bytesOf('mine'));
    expect(await fencedStore(careless, fence).putIfAbsent('k', bytesOf('mine'))).toBe(true);
  });

  it('is the store in everything else', async () => {
    const store = fencedStore(careless, fence);
    await store.put('a', bytesOf('1'));
    expect([store.rootUri, store.uriOf('a'), (await store.head('a'))?.bytes]).toEqual([
      careless.rootUri,
      careless.uriOf('a'),
      1,
    ]);
    await store.delete('a');
    expect(await store.head('a')).toBeNull();
  });
});

describe('stores without a fence', () => {
  it('never is the first: the caller turns to a name of its own', async () => {
    expect(await neverFirstStore(careless).putIfAbsent('k', bytesOf('x'))).toBe(false);
    expect(await careless.head('k')).toBeNull();
  });

  it('looks first', async () => {
    const store = lookFirstStore(careless);
    expect(await store.putIfAbsent('k', bytesOf('first'))).toBe(true);
    expect(await store.putIfAbsent('k', bytesOf('second'))).toBe(false);
    expect(textOf(await store.get('k'))).toBe('first');
  });
});
