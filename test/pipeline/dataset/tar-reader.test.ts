import { beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { createTarReader } from '../../../src/pipeline/dataset/tar-reader.ts';
import type { IndexedTar } from '../../../src/pipeline/dataset/read-index.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';
import type { GetOptions, ObjectStore } from '../../../src/storage/object-store.ts';
import { errorOf } from '../source/support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

const bodies = [Buffer.from('0123456789'), Buffer.from('abcdefghij')];
const tars: IndexedTar[] = bodies.map((body, index) => ({
  tar: `${index}.tar`,
  index: 'unused',
  indexDigest: 'unused',
  items: 1,
  bytes: body.length,
  digest: sha256(body),
}));
const ALL_HELD = 20;
const NONE_HELD = 19;

let memory: MemoryStore;
let requests: (GetOptions['range'] | 'whole')[];
let store: ObjectStore;
beforeEach(async () => {
  memory = new MemoryStore(new MemoryBucket('d'));
  for (const [index, body] of bodies.entries()) await memory.put(`${index}.tar`, body);
  requests = [];
  store = wrapStore(memory, {
    get: (key, options) => {
      requests.push(options?.range ?? 'whole');
      return memory.get(key, options);
    },
  });
});

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe('createTarReader', () => {
  it('loads each tar once where all are small, however many ask at once', async () => {
    const read = createTarReader(store, tars, ALL_HELD);
    const pieces = await Promise.all([
      read(0, 0, 3),
      read(0, 4, 2),
      read(1, 8, 2),
      read(1, 0, 10),
      read(0, 9, 1),
    ]);
    expect(pieces.map(text)).toEqual(['012', '45', 'ij', 'abcdefghij', '9']);
    expect(requests).toEqual(['whole', 'whole']);
  });

  it('hands out copies: giving one away does no harm to the next', async () => {
    const read = createTarReader(store, tars, ALL_HELD);
    const first = await read(0, 0, 3);
    structuredClone(first.buffer, { transfer: [first.buffer as ArrayBuffer] });
    expect(text(await read(0, 0, 3))).toBe('012');
  });

  it('reads one range for an image where tars are large', async () => {
    const read = createTarReader(store, tars, NONE_HELD);
    expect(text(await read(1, 2, 3))).toBe('cde');
    expect(text(await read(1, 2, 3))).toBe('cde');
    expect(requests).toEqual([
      { offset: 2, length: 3 },
      { offset: 2, length: 3 },
    ]);
  });

  it.each([
    ['held', ALL_HELD],
    ['read by ranges', NONE_HELD],
  ])('refuses a tar that was cut or removed when it is %s', async (_how, maxHeldBytes) => {
    await memory.put('0.tar', bodies[0]?.subarray(0, 5) ?? new Uint8Array());
    await memory.delete('1.tar');
    const read = createTarReader(store, tars, maxHeldBytes);
    for (const tar of [0, 1]) {
      const error = await errorOf(read(tar, 4, 3));
      expect(error.code).toBe('DATASET_CHANGED');
      expect(error.message).toContain(`memory://d/${tar}.tar`);
    }
  });

  it('refuses a held tar with other bytes of the same size', async () => {
    await memory.put('0.tar', Buffer.from('0123456780'));
    expect((await errorOf(createTarReader(store, tars, ALL_HELD)(0, 0, 1))).code).toBe('DATASET_CHANGED');
  });

  it('refuses a held tar that is shorter than the dataset says, with the right digest', async () => {
    const claimed = tars.map((tar) => ({ ...tar, bytes: 15 }));
    const error = await errorOf(createTarReader(store, claimed, 30)(0, 8, 5));
    expect(error.code).toBe('DATASET_CHANGED');
  });

  it('tries again after the store failed, and is not stopped for others by one that gives up', async () => {
    let failures = 1;
    const flaky = wrapStore(store, {
      get: (key, options) =>
        failures-- > 0
          ? Promise.reject(new ImagemillError('STORE_UNAVAILABLE', 'slow down'))
          : store.get(key, options),
    });
    const read = createTarReader(flaky, tars, ALL_HELD);
    expect((await errorOf(read(0, 0, 1))).code).toBe('STORE_UNAVAILABLE');
    const abort = new AbortController();
    const [given, waiting] = [read(0, 0, 1, abort.signal), read(0, 1, 1)];
    abort.abort(new Error('stop'));
    await expect(given).rejects.toThrow('stop');
    expect(text(await waiting)).toBe('1');
  });
});
