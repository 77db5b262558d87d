import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { inUtf8Order, keysOf, pagesOf } from './contract-helpers.ts';

/** Names with code points on both sides of the surrogates, and of `/` in ASCII, where orders differ. */
const oddName = fc
  .stringMatching(/^[!a0.~\-/é\uFFFD\u{10000}\u{1F5BC}]{1,6}$/u)
  .map((name) => name.split('/').filter((part) => part !== '' && part !== '.' && part !== '..'))
  .filter((parts) => parts.length > 0)
  .map((parts) => parts.join('/'));

/** Drops keys that would need a file and a folder of the same name, which file systems cannot hold. */
function withoutConflicts(keys: readonly string[]): string[] {
  return keys.filter((key) => !keys.some((other) => other.startsWith(`${key}/`)));
}

export function describeListing(store: () => ObjectStore, fresh: () => Promise<ObjectStore>): void {
  it('lists in the order of UTF-8 bytes, from any prefix and after any key', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(oddName, { minLength: 1, maxLength: 12 }).map(withoutConflicts),
        fc.nat(),
        fc.nat(),
        oddName,
        async (keys, pick, cut, other) => {
          const odd = await fresh();
          await Promise.all(keys.map((key) => odd.put(key, new Uint8Array(1))));
          const sorted = inUtf8Order(keys);
          expect(await keysOf(odd)).toEqual(sorted);
          const some = Array.from(keys[pick % keys.length] ?? '');
          const prefix = some.slice(0, cut % (some.length + 1)).join('');
          expect(await keysOf(odd, prefix)).toEqual(sorted.filter((key) => key.startsWith(prefix)));
          for (const after of [other, prefix, some.join('')]) {
            const expected = sorted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
            expect(await keysOf(odd, '', after)).toEqual(expected);
            expect(await keysOf(odd, prefix, after)).toEqual(
              expected.filter((key) => key.startsWith(prefix)),
            );
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  it('puts a folder where its name with the slash belongs', async () => {
    const keys = ['a-b', 'a.b', 'a/z', 'a0', 'a!', 'b/a/c', 'b/a.c', 'b'].filter((key) => key !== 'b');
    for (const key of keys) await store().put(key, new Uint8Array());
    expect(await keysOf(store())).toEqual(['a!', 'a-b', 'a.b', 'a/z', 'a0', 'b/a.c', 'b/a/c']);
    expect(await keysOf(store(), 'a')).toEqual(['a!', 'a-b', 'a.b', 'a/z', 'a0']);
    expect(await keysOf(store(), 'b/')).toEqual(['b/a.c', 'b/a/c']);
    expect(await keysOf(store(), 'b/a/')).toEqual(['b/a/c']);
    expect(await keysOf(store(), 'nothing/here/')).toEqual([]);
  });

  it('pages through more than 1,000 keys, and goes on after any of them', async () => {
    const keys = Array.from({ length: 1_150 }, (_, index) => `p/${String(index % 7)}/${index}.jpg`);
    for (let first = 0; first < keys.length; first += 100) {
      await Promise.all(keys.slice(first, first + 100).map((key) => store().put(key, new Uint8Array(2))));
    }
    await store().put('q', new Uint8Array());
    const pages = await pagesOf(store().list('p/'));
    expect(pages.every((page) => page.length >= 1 && page.length <= 1000)).toBe(true);
    const sorted = inUtf8Order(keys);
    expect(pages.flat().map(({ key }) => key)).toEqual(sorted);
    expect(pages.flat().every(({ bytes }) => bytes === 2)).toBe(true);
    for (const index of [0, 998, 999, 1000, 1_148, 1_149]) {
      const after = sorted[index] ?? '';
      expect(await keysOf(store(), 'p/', after)).toEqual(sorted.slice(index + 1));
    }
  }, 60_000);

  it('ends early when its reader does', async () => {
    for (const key of ['a', 'b/c', 'd']) await store().put(key, new Uint8Array());
    for await (const page of store().list('')) {
      expect(page.map(({ key }) => key)).toEqual(['a', 'b/c', 'd']);
      break;
    }
    expect(await keysOf(store())).toHaveLength(3);
  });
}
