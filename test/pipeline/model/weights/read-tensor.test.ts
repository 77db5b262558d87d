import { beforeEach, describe, expect, it } from 'vitest';
import { readTensor } from '../../../../src/pipeline/model/weights/read-tensor.ts';
import { writeSafetensors } from '../../../../src/pipeline/model/weights/safetensors.ts';
import { MemoryBucket, MemoryStore } from '../../../../src/storage/memory-store.ts';
import type { ObjectStore } from '../../../../src/storage/object-store.ts';
import { wrapStore } from '../../../../src/storage/wrap-store.ts';
import { errorOf } from '../../source/support.ts';

const KEY = 'model.safetensors';
const { signal } = new AbortController();
const wanted = { shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) };
const file = writeSafetensors(
  new Map([
    ['a.weight', { shape: [1_000_000], data: new Float32Array(1_000_000) }],
    ['b.weight', wanted],
    ['c.none', { shape: [0], data: new Float32Array(0) }],
  ]),
  { 'imagemill.architecture': 'alexnet-small' },
);

let store: ObjectStore;
let bytesRead = 0;
beforeEach(async () => {
  const memory = new MemoryStore(new MemoryBucket('models'));
  await memory.put(KEY, file);
  bytesRead = 0;
  store = wrapStore(memory, {
    get: async (key, options) => {
      const bytes = await memory.get(key, options);
      bytesRead += bytes.length;
      return bytes;
    },
  });
});

const codeOf = async (name = 'b.weight') => (await errorOf(readTensor(store, KEY, name, signal))).code;

describe('readTensor', () => {
  it('reads a header and one tensor, of a file that is a thousand times larger', async () => {
    const { tensor, metadata } = await readTensor(store, KEY, 'b.weight', signal);
    expect(tensor).toEqual(wanted);
    expect(metadata.get('imagemill.architecture')).toBe('alexnet-small');
    expect(bytesRead).toBeLessThan(1_000);
    expect(file.length).toBeGreaterThan(4_000_000);
  });

  it('reads tensors without numbers', async () => {
    expect((await readTensor(store, KEY, 'c.none', signal)).tensor).toEqual({
      shape: [0],
      data: new Float32Array(0),
    });
  });

  it('tells an object that is not there from one without the tensor', async () => {
    expect(await codeOf('d.weight')).toBe('MODEL_CORRUPT');
    await store.delete(KEY);
    expect(await codeOf()).toBe('OBJECT_NOT_FOUND');
  });

  it.each([
    ['cut within the length', file.subarray(0, 5)],
    ['cut within the header', file.subarray(0, 50)],
    ['cut within the data', file.subarray(0, file.length - 4)],
    ['with a header of four gigabytes', Uint8Array.from([0, 0, 0, 0, 1, 0, 0, 0, 0x7b])],
    ['of zeros', new Uint8Array(100)],
  ])('refuses a file %s', async (_what, bytes) => {
    await store.put(KEY, bytes);
    expect(await codeOf()).toBe('MODEL_CORRUPT');
  });
});
