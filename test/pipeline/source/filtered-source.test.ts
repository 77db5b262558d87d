import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filteredSource } from '../../../src/pipeline/source/filtered-source.ts';
import type { Listing } from '../../../src/pipeline/source/listing.ts';
import { collect, errorOf, expectResumable } from './support.ts';

/** Lists names in pages of `pageItems`; the position is the index. */
function listingOf(names: readonly string[], pageItems = 3): Listing {
  return {
    isImage: (name) => name.endsWith('.jpg'),
    async *list(position) {
      const start = position === undefined ? 0 : Number(position) + 1;
      const all = names.map((name, index) => ({
        item: { uri: `memory://m/${name}` },
        name,
        position: index,
      }));
      for (let first = start; first < all.length; first += pageItems)
        yield all.slice(first, first + pageItems);
    },
  };
}

async function namesOf(
  names: readonly string[],
  filters: Parameters<typeof filteredSource>[1],
): Promise<string[]> {
  const entries = await collect(filteredSource(listingOf(names), filters));
  return entries.map(({ item }) => item.uri.slice('memory://m/'.length));
}

describe('filters', () => {
  const names = [
    'a.jpg',
    'b.png',
    'cats/1.jpg',
    'cats/2.png',
    'cats/old/3.jpg',
    'dogs/.x/4.jpg',
    'dogs/5.txt',
  ];

  it.each([
    [{}, ['a.jpg', 'cats/1.jpg', 'cats/old/3.jpg', 'dogs/.x/4.jpg']],
    [{ include: [], exclude: [] }, ['a.jpg', 'cats/1.jpg', 'cats/old/3.jpg', 'dogs/.x/4.jpg']],
    [{ include: ['*.png'] }, ['b.png', 'cats/2.png']],
    [{ include: ['*.txt', 'b.*'] }, ['b.png', 'dogs/5.txt']],
    [{ include: ['cats/*'] }, ['cats/1.jpg', 'cats/2.png']],
    [{ include: ['cats/**'] }, ['cats/1.jpg', 'cats/2.png', 'cats/old/3.jpg']],
    [{ include: ['cats/'] }, ['cats/1.jpg', 'cats/2.png', 'cats/old/3.jpg']],
    [{ include: ['**/*.jpg'] }, ['a.jpg', 'cats/1.jpg', 'cats/old/3.jpg', 'dogs/.x/4.jpg']],
    [{ exclude: ['cats/**'] }, ['a.jpg', 'dogs/.x/4.jpg']],
    [{ exclude: ['[0-9].jpg'] }, ['a.jpg']],
    [{ exclude: ['**/old/**'] }, ['a.jpg', 'cats/1.jpg', 'dogs/.x/4.jpg']],
    [{ include: ['cats/**'], exclude: ['*.png'] }, ['cats/1.jpg', 'cats/old/3.jpg']],
    [{ include: ['*.JPG'] }, []],
    [{ limit: 2 }, ['a.jpg', 'cats/1.jpg']],
    [{ limit: 1, exclude: ['a.jpg'] }, ['cats/1.jpg']],
    [{ limit: 100, include: ['b.*'] }, ['b.png']],
  ])('%j', async (filters, expected) => {
    expect(await namesOf(names, filters)).toEqual(expected);
  });

  it('treat glob characters in names as what they are', async () => {
    expect(await namesOf(['[a].jpg', 'a.jpg', '{b}.jpg'], { exclude: ['\\[a\\].jpg'] })).toEqual([
      'a.jpg',
      '{b}.jpg',
    ]);
  });

  it('keep limit and order over any cursor', async () => {
    const name = fc.tuple(fc.nat(9), fc.constantFrom('.jpg', '.png')).map(([n, end]) => `${n}${end}`);
    await fc.assert(
      fc.asyncProperty(
        fc.array(name, { maxLength: 30 }),
        fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
        fc.constantFrom<readonly string[]>([], ['*.png'], ['[0-4].*']),
        fc.integer({ min: 1, max: 7 }),
        async (all, limit, include, pageItems) => {
          const source = filteredSource(listingOf(all, pageItems), { include, limit });
          const listed = await expectResumable(source, 100);
          const accepted = all.filter((each) =>
            include.length === 0
              ? each.endsWith('.jpg')
              : include[0] === '*.png'
                ? each.endsWith('.png')
                : /^[0-4]\./.test(each),
          );
          expect(listed.map(({ item }) => item.uri)).toEqual(
            accepted.slice(0, limit).map((each) => `memory://m/${each}`),
          );
        },
      ),
      { numRuns: 100 },
    );
  });

  it('stop asking for pages once the limit is reached', async () => {
    let pages = 0;
    const listing: Listing = {
      async *list() {
        for (;;) {
          pages += 1;
          yield [{ item: { uri: `memory://m/${pages}` }, name: 'a', position: pages }];
        }
      },
    };
    expect(await collect(filteredSource(listing, { limit: 3 }))).toHaveLength(3);
    expect(pages).toBe(3);
  });

  it.each([
    ['', 'CONTRACT_INVALID'],
    ['{}', 'CONTRACT_INVALID'],
    ['[-1,0]', 'CONTRACT_INVALID'],
    ['a.jpg', 'CONTRACT_INVALID'],
  ])('refuse the cursor "%s", which no source made', async (cursor, code) => {
    const source = filteredSource(listingOf(['a.jpg']), {});
    expect((await errorOf(collect(source, cursor))).code).toBe(code);
  });

  it.each([
    { limit: 0 },
    { limit: 1.5 },
    { limit: Number.NaN },
    { include: [''] },
    { exclude: ['a'.repeat(70_000)] },
  ])('refuse what cannot be used: case %#', async (filters) => {
    const error = await errorOf((async () => filteredSource(listingOf([]), filters))());
    expect(error.code).toBe('USAGE');
  });

  it('refuse a URI that no shard document would accept', async () => {
    const error = await errorOf(collect(filteredSource(listingOf([`${'a'.repeat(8_200)}.jpg`]), {})));
    expect(error.code).toBe('URI_INVALID');
  });
});
