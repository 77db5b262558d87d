import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { ImagemillError } from '../../src/contract/errors.ts';
import type { ObjectInfo, ObjectStore } from '../../src/storage/object-store.ts';
import { freshStore, titleOf, type StoreKind } from '../support/object-stores.ts';

const MIB = 1024 * 1024;

/** Keys that trip stores which build URIs, XML or shell words from them. */
export const ODD_KEYS = [
  'plain.jpg',
  'a space.jpg',
  ' leading and trailing ',
  'plus+sign.jpg',
  'per%cent.jpg',
  'per%20cent.jpg',
  'ha#sh.jpg',
  'quest?ion=1&x=2',
  `quotes "'\`.jpg`,
  'angle <b>&amp;</b>',
  'new\nline.jpg',
  'carriage\rreturn',
  'tab\there',
  'back\\slash',
  'semi;colon,comma:colon@at$dollar!~*()[]{}|^',
  'ünïcödé/日本語/🖼️.jpg',
  'combining e\u0301 and composed é',
  'private \uE000 use',
  '\uFFFD replacement',
  '\u202Eright to left',
  '.hidden',
  '...',
  'deep/er/and/deep/er/still/x',
];

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Bytes whose every 4-byte word tells its position. */
export function patternOf(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = index * 2654435761;
  return new Uint8Array(words.buffer, 0, length);
}

export async function* streamOf(body: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < body.length; start += chunkBytes) {
    yield body.slice(start, start + chunkBytes);
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function pagesOf(pages: AsyncIterable<ObjectInfo[]>): Promise<ObjectInfo[][]> {
  const all: ObjectInfo[][] = [];
  for await (const page of pages) all.push(page);
  return all;
}

export async function keysOf(store: ObjectStore, prefix = '', startAfter?: string): Promise<string[]> {
  const pages = await pagesOf(store.list(prefix, startAfter === undefined ? {} : { startAfter }));
  return pages.flat().map(({ key }) => key);
}

const inUtf8Order = (keys: readonly string[]): string[] =>
  [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<ImagemillError> {
  const error: unknown = await promise.then(
    (value) => expect.fail(`expected ${code}, got ${JSON.stringify(value)}`),
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ImagemillError);
  expect(error).toMatchObject({ code });
  return error as ImagemillError;
}

/** What every store promises. `extra` registers further tests in the same, started kind. */
export function describeObjectStore(kind: StoreKind, extra?: () => void): void {
  describe.skipIf(kind.missing !== null)(titleOf(kind), () => {
    let store: ObjectStore;
    beforeAll(() => kind.start(), 180_000);
    afterAll(() => kind.stop());
    beforeEach(async () => {
      store = await freshStore(kind);
    });
    const current = (): ObjectStore => store;
    describe('objects', () => describeObjects(current));
    describe('ranges and streams', () => describeReading(current));
    describe('streamed puts', () => describeStreamedPuts(current));
    describe('putIfAbsent', () => describePutIfAbsent(current));
    describe('listing', () => describeListing(current, () => freshStore(kind)));
    describe('URIs', () => describeUris(current, kind));
    extra?.();
  });
}

function describeObjects(store: () => ObjectStore): void {
  it('gives back what was put, and replaces it', async () => {
    await store().put('a/b.bin', patternOf(100_003));
    expect(Buffer.compare(await store().get('a/b.bin'), patternOf(100_003))).toBe(0);
    await store().put('a/b.bin', bytesOf('short'));
    expect(textOf(await store().get('a/b.bin'))).toBe('short');
  });

  it('holds empty objects', async () => {
    await store().put('empty', new Uint8Array());
    expect(await store().get('empty')).toHaveLength(0);
    expect(await collect(await store().getStream('empty'))).toHaveLength(0);
    expect(await store().head('empty')).toMatchObject({ key: 'empty', bytes: 0 });
  });

  it('returns bytes that own their buffer, and keeps none of the caller’s', async () => {
    const body = bytesOf('original');
    await store().put('k', body);
    body.fill(0);
    const first = await store().get('k');
    expect(textOf(first)).toBe('original');
    expect(first.byteOffset).toBe(0);
    expect(first.buffer.byteLength).toBe(first.byteLength);
    first.fill(0);
    expect(textOf(await store().get('k'))).toBe('original');
  });

  it('describes an object alike in head and list, and its etag changes with the content', async () => {
    const before = Date.now();
    await store().put('k', bytesOf('one'));
    const head = await store().head('k');
    expect(head).toMatchObject({ key: 'k', bytes: 3 });
    expect(head?.modifiedAt.getTime()).toBeGreaterThan(before - 5_000);
    expect(head?.modifiedAt.getTime()).toBeLessThan(Date.now() + 5_000);
    const [[listed] = []] = await pagesOf(store().list(''));
    expect(listed).toMatchObject({ key: 'k', bytes: 3, etag: head?.etag });
    await store().put('k', bytesOf('two'));
    expect((await store().head('k'))?.etag).not.toBe(head?.etag);
  });

  it('says what is absent', async () => {
    await store().put('there', bytesOf('x'));
    expect(await store().head('absent/far')).toBeNull();
    const error = await expectCode(store().get('absent'), 'OBJECT_NOT_FOUND');
    expect(error.message).toContain('absent');
    await expectCode(store().getStream('absent'), 'OBJECT_NOT_FOUND');
    await expectCode(store().get('absent', { range: { offset: 0, length: 0 } }), 'OBJECT_NOT_FOUND');
    await expectCode(store().get('absent', { range: { offset: 5, length: 1 } }), 'OBJECT_NOT_FOUND');
  });

  it('deletes, also what does not exist', async () => {
    await store().put('k', bytesOf('x'));
    await store().delete('k');
    expect(await store().head('k')).toBeNull();
    await store().delete('k');
    await store().delete('never/was');
    expect(await keysOf(store())).toEqual([]);
  });

  it.each(ODD_KEYS.map((key) => [JSON.stringify(key), key] as const))('holds the key %s', async (_, key) => {
    await store().put(key, bytesOf(key));
    expect(textOf(await store().get(key))).toBe(key);
    expect(await store().head(key)).toMatchObject({ key });
    expect(await keysOf(store())).toEqual([key]);
    expect(await keysOf(store(), key.slice(0, -1))).toEqual([key]);
    expect(await keysOf(store(), '', key)).toEqual([]);
    expect(await store().putIfAbsent(key, bytesOf('other'))).toBe(false);
    await store().delete(key);
    expect(await keysOf(store())).toEqual([]);
  });

  it('refuses keys that no store can hold', async () => {
    for (const key of ['', 'half \uD83D surrogate']) {
      await expectCode(store().put(key, bytesOf('x')), 'URI_INVALID');
      await expectCode(store().get(key), 'URI_INVALID');
      await expectCode(store().head(key), 'URI_INVALID');
      await expectCode(store().delete(key), 'URI_INVALID');
      await expectCode(store().putIfAbsent(key, bytesOf('x')), 'URI_INVALID');
      await expectCode(store().putStream(key, streamOf(bytesOf('x'), 1)), 'URI_INVALID');
    }
  });
}

function describeReading(store: () => ObjectStore): void {
  const body = patternOf(3 * MIB + 17);

  it('reads ranges, cut at the end of the object', async () => {
    await store().put('k', body);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(body.length + 100), fc.constantFrom(0, body.length - 1, body.length)),
        fc.oneof(fc.nat(200_000), fc.constantFrom(0, 1, body.length, Number.MAX_SAFE_INTEGER)),
        async (offset, length) => {
          const got = await store().get('k', { range: { offset, length } });
          expect(Buffer.compare(got, body.slice(offset, offset + length))).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
    await expectCode(store().get('k', { range: { offset: -1, length: 1 } }), 'INTERNAL');
    await expectCode(store().getStream('k', { range: { offset: 0, length: 0.5 } }), 'INTERNAL');
  });

  it('streams an object and a range of it in small chunks', async () => {
    await store().put('k', body);
    const sizes: number[] = [];
    const parts: Uint8Array[] = [];
    for await (const chunk of await store().getStream('k')) {
      sizes.push(chunk.length);
      parts.push(chunk);
    }
    expect(Buffer.compare(Buffer.concat(parts), body)).toBe(0);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MIB);
    const range = { offset: 12_345, length: 2 * MIB };
    const part = await collect(await store().getStream('k', { range }));
    expect(Buffer.compare(part, body.slice(12_345, 12_345 + 2 * MIB))).toBe(0);
  });

  it('survives streams that are given up early', async () => {
    await store().put('k', body);
    for (let round = 0; round < 70; round++) {
      for await (const chunk of await store().getStream('k')) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    }
    expect(await store().get('k')).toHaveLength(body.length);
  });

  it('rejects with the reason of an aborted signal, before and in the middle', async () => {
    await store().put('k', body);
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    await expect(store().get('k', { signal: aborted })).rejects.toBe(reason);
    await expect(store().getStream('k', { signal: aborted })).rejects.toBe(reason);
    await expect(pagesOf(store().list('', { signal: aborted }))).rejects.toBe(reason);

    const controller = new AbortController();
    const stream = await store().getStream('k', { signal: controller.signal });
    const reading = (async () => {
      for await (const chunk of stream) {
        expect(chunk.length).toBeGreaterThan(0);
        controller.abort(reason);
      }
    })();
    await expect(reading).rejects.toBe(reason);
  });

  it('serves many readers with one signal, without a warning', async () => {
    await store().put('k', bytesOf('x'));
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const { signal } = new AbortController();
    const all = await Promise.all(Array.from({ length: 200 }, () => store().get('k', { signal })));
    expect(all).toHaveLength(200);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
  });

  it('shows the old or the new object to readers of one that is being replaced, never a piece', async () => {
    const versions = [1, 2].map((value) => new Uint8Array(200_000 + value).fill(value));
    const [one, two] = versions as [Uint8Array, Uint8Array];
    await store().put('k', one);
    let writing = true;
    const writer = (async () => {
      for (let round = 0; round < 20; round++) await store().put('k', round % 2 === 0 ? two : one);
      writing = false;
    })();
    while (writing) {
      const got = await store().get('k');
      const expected = got[0] === 1 ? one : two;
      expect(Buffer.compare(got, expected)).toBe(0);
    }
    await writer;
  });
}

function describeStreamedPuts(store: () => ObjectStore): void {
  it.each([0, 1, 1000, 8 * MIB, 8 * MIB + 1, 21 * MIB + 5])('writes %i bytes', async (length) => {
    const body = patternOf(length);
    expect(await store().putStream('s/k', streamOf(body, 777_777))).toBe(length);
    expect(Buffer.compare(await store().get('s/k'), body)).toBe(0);
    expect(await keysOf(store())).toEqual(['s/k']);
  });

  it('takes empty chunks and chunks larger than a part', async () => {
    const body = patternOf(19 * MIB);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array();
      yield body.slice(0, 18 * MIB);
      yield new Uint8Array();
      yield body.slice(18 * MIB);
    }
    expect(await store().putStream('k', chunks())).toBe(body.length);
    expect(Buffer.compare(await store().get('k'), body)).toBe(0);
  });

  it.each([10, 20 * MIB])('leaves nothing visible when its source fails after %i bytes', async (length) => {
    const failure = Object.assign(new Error('the source broke'), { code: 'ECONNRESET', syscall: 'read' });
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* streamOf(patternOf(length), 1_000_000);
      throw failure;
    }
    await expect(store().putStream('new', broken())).rejects.toBe(failure);
    expect(await store().head('new')).toBeNull();
    await store().put('old', bytesOf('kept'));
    await expect(store().putStream('old', broken())).rejects.toBe(failure);
    expect(textOf(await store().get('old'))).toBe('kept');
    expect(await keysOf(store())).toEqual(['old']);
  });

  it.each([10, 20 * MIB])('leaves nothing visible when aborted after %i bytes of a silent source', async (length) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield* streamOf(patternOf(length), 1_000_000);
      setTimeout(() => controller.abort(reason), 20);
      await new Promise(() => undefined);
    }
    await expect(store().putStream('k', silent(), controller.signal)).rejects.toBe(reason);
    expect(await store().head('k')).toBeNull();
    expect(await keysOf(store())).toEqual([]);
    await expect(store().putStream('k', streamOf(bytesOf('x'), 1), controller.signal)).rejects.toBe(reason);
    expect(await keysOf(store())).toEqual([]);
  });
}

function describePutIfAbsent(store: () => ObjectStore): void {
  it('creates once and then refuses, the object untouched', async () => {
    expect(await store().putIfAbsent('c/1.json', bytesOf('first'))).toBe(true);
    expect(await store().putIfAbsent('c/1.json', bytesOf('second'))).toBe(false);
    expect(textOf(await store().get('c/1.json'))).toBe('first');
    await store().put('plain', bytesOf('by put'));
    expect(await store().putIfAbsent('plain', bytesOf('late'))).toBe(false);
    expect(textOf(await store().get('plain'))).toBe('by put');
    await store().delete('c/1.json');
    expect(await store().putIfAbsent('c/1.json', bytesOf('again'))).toBe(true);
  });

  it('lets one of 32 racers win, and keeps that one’s bytes', async () => {
    for (let race = 0; race < 3; race++) {
      const key = `race/${race}`;
      const bodies = Array.from({ length: 32 }, (_, racer) => bytesOf(`racer ${racer}`.padEnd(5_000, '.')));
      const won = await Promise.all(bodies.map((body) => store().putIfAbsent(key, body)));
      const winners = bodies.filter((_, racer) => won[racer]);
      expect(winners).toHaveLength(1);
      expect(textOf(await store().get(key))).toBe(textOf(winners[0] ?? new Uint8Array()));
    }
    expect(await keysOf(store())).toHaveLength(3);
  });
}

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

function describeListing(store: () => ObjectStore, fresh: () => Promise<ObjectStore>): void {
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
          const some = [...(keys[pick % keys.length] ?? '')];
          const prefix = some.slice(0, cut % (some.length + 1)).join('');
          expect(await keysOf(odd, prefix)).toEqual(sorted.filter((key) => key.startsWith(prefix)));
          for (const after of [other, prefix, some.join('')]) {
            const expected = sorted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
            expect(await keysOf(odd, '', after)).toEqual(expected);
            expect(await keysOf(odd, prefix, after)).toEqual(expected.filter((key) => key.startsWith(prefix)));
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

function describeUris(store: () => ObjectStore, kind: StoreKind): void {
  it.each(ODD_KEYS.map((key) => [JSON.stringify(key), key] as const))('names %s so that it resolves', async (_, key) => {
    await store().put(key, bytesOf('here'));
    const resolved = kind.resolver().resolve(store().uriOf(key));
    expect(textOf(await resolved.store.get(resolved.key))).toBe('here');
    expect(resolved.store.uriOf(resolved.key)).toBe(store().uriOf(key));
  });

  it('has a root that ends in a slash and opens again, with or without it', async () => {
    await store().put('folder/k', bytesOf('here'));
    expect(store().rootUri).toMatch(/\/$/);
    for (const uri of [store().rootUri, store().rootUri.slice(0, -1)]) {
      const again = kind.resolver().open(uri);
      expect(again.rootUri).toBe(store().rootUri);
      expect(textOf(await again.get('folder/k'))).toBe('here');
    }
    const below = kind.resolver().open(store().uriOf('folder'));
    expect(await keysOf(below)).toEqual(['k']);
    expect(below.uriOf('k')).toBe(store().uriOf('folder/k'));
  });
}
