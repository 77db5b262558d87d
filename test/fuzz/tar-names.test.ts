/**
 * Names in tars are names and nothing else: an item is read by its offset in the tar, and what `prepare` writes is named
 * by numbers. So a name can lead out of a folder as often as it likes.
 */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import type { Item } from '../../src/contract/item.ts';
import { classOfItem, MAX_CLASS_NAME_LENGTH } from '../../src/pipeline/prepare/class-of-item.ts';
import { SplitShard } from '../../src/pipeline/prepare/split-shard.ts';
import { createItemReader } from '../../src/pipeline/source/item-reader.ts';
import { openSource } from '../../src/pipeline/source/open-source.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { END_OF_TAR, member } from '../pipeline/source/tar-fixture.ts';
import { collect, TestStores } from '../pipeline/source/support.ts';
import { FUZZ_TIMEOUT_MS, parameters } from './support.ts';

const TAR = 'memory://t/x.tar';

/** A member with a name of any length and any characters, said by a pax record. */
function named(name: string, body: string, type = '0'): Uint8Array {
  const record = ` path=${name}\n`;
  let length = Buffer.byteLength(record);
  while (length !== Buffer.byteLength(record) + String(length).length) {
    length = Buffer.byteLength(record) + String(length).length;
  }
  return Buffer.concat([member({ type: 'x' }, `${length}${record}`), member({ type }, body)]);
}

async function list(...members: Uint8Array[]): Promise<{ items: Item[]; stores: TestStores }> {
  const stores = new TestStores();
  stores.put(TAR, Buffer.concat([...members, END_OF_TAR]));
  const entries = await collect(await openSource({ uri: TAR }, stores));
  return { items: entries.map(({ item }) => item), stores };
}

const HOSTILE = [
  '../../../../etc/passwd.jpg',
  '/etc/passwd.jpg',
  'a\\..\\..\\windows\\x.jpg',
  'C:\\x.jpg',
  'a/../../b.jpg',
  './././../x.jpg',
  '//server/share/x.jpg',
  'a\0b.jpg',
  'line\nfeed.jpg',
  '\u001b[2J.jpg',
  '%2e%2e%2fx.jpg',
  'file:///etc/passwd.jpg',
  's3://other/x.jpg',
  `${'d/'.repeat(1_000)}x.jpg`,
  `${'n'.repeat(2_000)}.jpg`,
  '__proto__/constructor.jpg',
];

describe('a name in a tar', () => {
  it.each(HOSTILE)('%j stays a name: the bytes are those of the tar', async (name) => {
    const { items, stores } = await list(named(name, 'body of this member'));
    const [item] = items;
    expect(item).toMatchObject({ uri: `${TAR}#${name}`, within: { uri: TAR, bytes: 19 } });
    const bytes = await createItemReader(stores, { maxBytes: 1_000 }).read(item as Item);
    expect(Buffer.from(bytes).toString()).toBe('body of this member');
  });

  it('of more than 8,192 characters is refused, with its tar', async () => {
    const error = await list(named(`${'n'.repeat(9_000)}.jpg`, 'x')).catch((fault: unknown) => fault);
    expect(error).toBeInstanceOf(ImagemillError);
    expect(error).toMatchObject({ code: 'URI_INVALID', message: expect.stringContaining(TAR) as string });
  });

  it('that begins with a dot after its last slash is hidden, and no item', async () => {
    expect((await list(named('..\\..\\x.jpg', 'a'), named('d/..x.jpg', 'b'))).items).toEqual([]);
  });

  it.each([
    ['a hard link', '1'],
    ['a symbolic link', '2'],
    ['a character device', '3'],
    ['a block device', '4'],
    ['a folder', '5'],
    ['a pipe', '6'],
  ])('of %s is no item, whatever its header says of a body', async (_, type) => {
    const link = member({ type, name: 'link.jpg', size: '00000001000\0' });
    const { items } = await list(link, member({ name: 'b.jpg' }, 'b'));
    expect(items.map(({ uri }) => uri)).toEqual([`${TAR}#b.jpg`]);
  });
});

const OUT = /^(?:train|val)\/000042(?:\.[0-9a-z]{16})?\.(?:tar|index\.json)$/;
const TOKEN = '0123456789abcdef';

describe('what prepare writes', () => {
  it(
    'has keys and members of numbers, whatever names, labels and URIs are',
    { timeout: FUZZ_TIMEOUT_MS },
    async () => {
      const text = fc.oneof(fc.constantFrom(...HOSTILE, '..', '/', '\\'), fc.string({ unit: 'grapheme' }));
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }), async (names) => {
          const store = new MemoryStore(new MemoryBucket('d'));
          const shard = new SplitShard('train', 42, 'jpeg');
          for (const [position, [name, className]] of names.entries()) {
            const bytes = Buffer.from('image');
            const item = {
              position,
              uri: `${TAR}#${name}`,
              digest: 'd',
              bytes,
              width: 1,
              height: 1,
            };
            shard.add({ ...item, className: className.slice(0, MAX_CLASS_NAME_LENGTH) });
          }
          await shard.write(store, TOKEN, new AbortController().signal);
          const keys: string[] = [];
          for await (const page of store.list('')) keys.push(...page.map(({ key }) => key));
          expect(keys).toHaveLength(2);
          for (const key of keys) expect(key).toMatch(OUT);
          const stores = new TestStores();
          stores.put(TAR, await store.get('train/000042.tar'));
          const members = (await collect(await openSource({ uri: TAR }, stores))).map(({ item }) => item.uri);
          expect(members).toEqual(
            names.map((_, position) => `${TAR}#000042-${String(position).padStart(8, '0')}.jpg`),
          );
        }),
        parameters(100),
      );
    },
  );

  it('knows a class named like a folder above by that name only', async () => {
    const { items } = await list(named('../x.jpg', 'a'));
    expect(classOfItem(items[0] as Item, TAR)).toBe('..');
  });
});
