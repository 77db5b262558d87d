import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ImageError, ImagemillError, type ErrorCode } from '../../../src/contract/errors.ts';
import { createItemReader } from '../../../src/pipeline/source/item-reader.ts';
import { MemoryStore } from '../../../src/storage/memory-store.ts';
import { errorOf, TestStores } from './support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

const limits = { maxBytes: 100 };
const uri = 'memory://m/a.jpg';
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

function storesWith(body: string): TestStores {
  const stores = new TestStores();
  stores.put(uri, body);
  return stores;
}

/** Replaces the store so that every request is counted, and none answered where `code` is given. */
function watch(stores: TestStores, code?: ErrorCode): string[] {
  const store = new MemoryStore(stores.bucket('m'));
  const requests: string[] = [];
  const request = <T>(name: string, answer: () => Promise<T>): Promise<T> => {
    requests.push(name);
    return code === undefined ? answer() : Promise.reject(new ImagemillError(code, `said ${code}`));
  };
  stores.replaced.set(
    'm',
    wrapStore(store, {
      get: (key, options) => request('get', () => store.get(key, options)),
      getStream: (key, options) => request('getStream', () => store.getStream(key, options)),
      head: (key) => request('head', () => store.head(key)),
    }),
  );
  return requests;
}

describe('an item reader', () => {
  it('reads whole objects of known and of unknown size, with one request', async () => {
    for (const item of [{ uri, bytes: 5 }, { uri }]) {
      const stores = storesWith('image');
      const requests = watch(stores);
      expect(text(await createItemReader(stores, limits).read(item))).toBe('image');
      expect(requests).toHaveLength(1);
    }
  });

  it('reads empty objects: that they are no images is for the decoder to say', async () => {
    for (const item of [{ uri, bytes: 0 }, { uri }, { uri, within: { uri, offset: 3, bytes: 0 } }]) {
      expect(await createItemReader(storesWith(''), limits).read(item)).toHaveLength(0);
    }
  });

  it('reads the range of a member of a tar', async () => {
    const item = { uri: `${uri}#x`, bytes: 3, within: { uri, offset: 2, bytes: 3 } };
    expect(text(await createItemReader(storesWith('0123456789'), limits).read(item))).toBe('234');
  });

  it('says IMAGE_TRUNCATED where the tar has become shorter', async () => {
    const item = { uri: `${uri}#x`, within: { uri, offset: 8, bytes: 5 } };
    const error = await errorOf(createItemReader(storesWith('0123456789'), limits).read(item));
    expect(error.code).toBe('IMAGE_TRUNCATED');
  });

  it('refuses a known size over the limit without a request', async () => {
    const stores = storesWith('x');
    const requests = watch(stores);
    const reader = createItemReader(stores, limits);
    for (const item of [
      { uri, bytes: 101 },
      { uri: `${uri}#x`, within: { uri, offset: 0, bytes: 101 } },
    ]) {
      const error = await errorOf(reader.read(item));
      expect(error).toBeInstanceOf(ImageError);
      expect(error.code).toBe('IMAGE_TOO_MANY_BYTES');
    }
    expect(requests).toEqual([]);
  });

  it('accepts exactly the limit, and refuses a byte more, whether or not the size is known', async () => {
    for (const known of [true, false]) {
      const read = (size: number) => {
        const item = known ? { uri, bytes: Math.min(size, 100) } : { uri };
        return createItemReader(storesWith('x'.repeat(size)), limits).read(item);
      };
      expect(await read(100)).toHaveLength(100);
      expect((await errorOf(read(101))).code).toBe('IMAGE_TOO_MANY_BYTES');
    }
  });

  it('stops a download of unknown size at the limit, and ends its stream', async () => {
    const stores = storesWith('x');
    let sent = 0;
    let ended = false;
    stores.replaced.set(
      'm',
      wrapStore(new MemoryStore(stores.bucket('m')), {
        getStream: async () =>
          (async function* () {
            try {
              for (;;) {
                sent += 30;
                yield new Uint8Array(30);
              }
            } finally {
              ended = true;
            }
          })(),
      }),
    );
    expect((await errorOf(createItemReader(stores, limits).read({ uri }))).code).toBe('IMAGE_TOO_MANY_BYTES');
    expect([sent, ended]).toEqual([120, true]);
  });

  it.each([
    ['OBJECT_NOT_FOUND', 'ITEM_NOT_FOUND'],
    ['STORE_NOT_FOUND', 'ITEM_NOT_FOUND'],
    ['STORE_ACCESS_DENIED', 'ITEM_ACCESS_DENIED'],
    ['URI_INVALID', 'ITEM_URI_INVALID'],
  ] as const)('makes an item error of %s', async (answer, code) => {
    for (const item of [
      { uri, bytes: 5 },
      { uri },
      { uri: `${uri}#x`, within: { uri, offset: 0, bytes: 1 } },
    ]) {
      const stores = storesWith('image');
      watch(stores, answer);
      const error = await errorOf(createItemReader(stores, limits).read(item));
      expect(error).toBeInstanceOf(ImageError);
      expect([error.code, error.message]).toEqual([code, `said ${answer}`]);
    }
  });

  it.each(['STORE_UNREACHABLE', 'STORE_UNAVAILABLE', 'STORE_FULL'] as const)(
    'passes %s on unchanged',
    async (answer) => {
      for (const item of [{ uri, bytes: 5 }, { uri }]) {
        const stores = storesWith('image');
        watch(stores, answer);
        const error = await errorOf(createItemReader(stores, limits).read(item));
        expect(error).not.toBeInstanceOf(ImageError);
        expect(error.code).toBe(answer);
      }
    },
  );

  it('makes an item error of a missing object and of a URI that cannot be read', async () => {
    const reader = createItemReader(new TestStores(), limits);
    expect((await errorOf(reader.read({ uri }))).code).toBe('ITEM_NOT_FOUND');
    expect((await errorOf(reader.read({ uri, bytes: 1 }))).code).toBe('ITEM_NOT_FOUND');
    expect((await errorOf(reader.read({ uri: 'https://x/y.jpg' }))).code).toBe('ITEM_URI_INVALID');
  });

  it('reads files only where the policy allows it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'item-'));
    try {
      const path = join(folder, 'a.jpg');
      await writeFile(path, 'image');
      const items = [
        { uri: path },
        { uri: `file://${path}` },
        { uri: `file://${path}`, bytes: 5 },
        { uri: 'memory://m/a.tar#x', within: { uri: `file://${path}`, offset: 0, bytes: 5 } },
      ];
      for (const item of items) {
        const allowed = createItemReader(new TestStores(), limits, { allowFile: true });
        expect(text(await allowed.read(item))).toBe('image');
        for (const reader of [
          createItemReader(new TestStores(), limits, { allowFile: false }),
          createItemReader(new TestStores(), limits),
        ]) {
          const error = await errorOf(reader.read(item));
          expect(error).toBeInstanceOf(ImageError);
          expect(error.code).toBe('ITEM_URI_INVALID');
        }
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('rejects with the reason of an aborted signal', async () => {
    const reason = new Error('shutdown');
    const reader = createItemReader(storesWith('image'), limits);
    await expect(reader.read({ uri, bytes: 5 }, AbortSignal.abort(reason))).rejects.toBe(reason);
    await expect(reader.read({ uri }, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
