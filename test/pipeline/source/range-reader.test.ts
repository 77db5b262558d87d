import { describe, expect, it } from 'vitest';
import { RangeReader } from '../../../src/pipeline/source/range-reader.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';
import type { ByteRange } from '../../../src/storage/object-store.ts';
import { errorOf } from './support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

function readerOf(bytes: Uint8Array): { reader: RangeReader; ranges: ByteRange[] } {
  const bucket = new MemoryBucket('m');
  bucket.write('a.tar', bytes);
  const store = new MemoryStore(bucket);
  const ranges: ByteRange[] = [];
  const counting = wrapStore(store, {
    get: (key, options) => {
      if (options?.range !== undefined) ranges.push(options.range);
      return store.get(key, options);
    },
  });
  return { reader: new RangeReader(counting, 'a.tar', bytes.length), ranges };
}

const bytes = Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 31) % 253);

describe('RangeReader', () => {
  it('reads what is there, forwards and backwards, across blocks', async () => {
    const { reader } = readerOf(bytes);
    const pieces: [number, number][] = [
      [0, 512],
      [65_000, 2_000],
      [2_999_000, 1_000],
      [10, 5],
      [500_000, 400_000],
      [0, 0],
    ];
    for (const [offset, length] of pieces) {
      expect(
        Buffer.from(await reader.read(offset, length)).equals(bytes.subarray(offset, offset + length)),
      ).toBe(true);
    }
  });

  it('needs few requests for pieces close to each other, and few bytes for pieces far apart', async () => {
    const near = readerOf(bytes);
    for (let offset = 0; offset < 2_900_000; offset += 20_000) await near.reader.read(offset, 512);
    expect(near.ranges.length).toBeLessThan(10);

    const far = readerOf(bytes);
    for (let offset = 0; offset < 2_900_000; offset += 500_000) await far.reader.read(offset, 512);
    expect(far.ranges.length).toBe(6);
    expect(Math.max(...far.ranges.map(({ length }) => length))).toBe(65_536);
  });

  it('says TAR_INVALID with the offset where the object ends early', async () => {
    const { reader } = readerOf(bytes);
    const error = await errorOf(reader.read(2_999_900, 512));
    expect(error.code).toBe('TAR_INVALID');
    expect(error.message).toContain('memory://m/a.tar at byte 2999900');
  });
});
