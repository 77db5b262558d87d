import { describe, expect, it } from 'vitest';
import { writeBytes } from '../../../src/pipeline/sink/write-bytes.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import { TestStores } from '../source/support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

const MIB = 1024 * 1024;
const store = new TestStores().open('memory://out/');

function bytesOf(length: number): Uint8Array {
  return Buffer.alloc(
    length,
    Uint8Array.from({ length: 251 }, (_, index) => index),
  );
}

describe('writeBytes', () => {
  it.each([0, 1, 1_000, 8 * MIB, 8 * MIB + 1, 20 * MIB])(
    'writes %i bytes, with their digest',
    async (length) => {
      const bytes = bytesOf(length);
      const written = await writeBytes(store, 'checkpoint', bytes, 7, new AbortController().signal);
      expect(written).toEqual({ key: 'checkpoint', bytes: length, digest: sha256(bytes), rows: 7 });
      expect(Buffer.compare(await store.get('checkpoint'), bytes)).toBe(0);
    },
  );

  it('hands over pieces of 8 MiB at most, views of the bytes', async () => {
    const bytes = bytesOf(17 * MIB);
    const pieces: Uint8Array[] = [];
    const watching = wrapStore(store, {
      async putStream(_key, chunks) {
        for await (const chunk of chunks) pieces.push(chunk);
        return bytes.length;
      },
    });
    await writeBytes(watching, 'checkpoint', bytes, 0, new AbortController().signal);
    expect(pieces.map(({ length }) => length / MIB)).toEqual([8, 8, 1]);
    expect(pieces.every(({ buffer }) => buffer === bytes.buffer)).toBe(true);
  });

  it('stops at an abort, and leaves what was there', async () => {
    await store.put('last', Buffer.from('earlier'));
    const stop = AbortSignal.abort(new Error('stop'));
    await expect(writeBytes(store, 'last', bytesOf(10), 0, stop)).rejects.toThrow('stop');
    expect(Buffer.from(await store.get('last')).toString()).toBe('earlier');
  });

  it('fails as the store does', async () => {
    const full = wrapStore(store, { putStream: () => Promise.reject(new Error('full')) });
    await expect(writeBytes(full, 'x', bytesOf(10), 0, new AbortController().signal)).rejects.toThrow('full');
  });
});
