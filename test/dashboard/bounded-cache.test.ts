import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedCache } from '../../src/dashboard/bounded-cache.ts';
import { pictureBytes, type Picture } from '../../src/dashboard/pictures/protocol.ts';

const MAX_BYTES = 4_000;

const picture = (bytes: number): Picture => ({ bytes: new Uint8Array(bytes), contentType: 'image/webp' });

const use = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  /** Absent: it is asked for. */
  bytes: fc.option(fc.integer({ min: 0, max: 2 * MAX_BYTES })),
});

describe('BoundedCache', () => {
  it('never holds more than its limit, and gives back what was put last under a key or nothing', () => {
    fc.assert(
      fc.property(fc.array(use, { maxLength: 60 }), (uses) => {
        const cache = new BoundedCache(MAX_BYTES, pictureBytes);
        const last = new Map<string, Picture>();
        for (const { key, bytes } of uses) {
          if (bytes === null) {
            const found = cache.get(key);
            if (found !== undefined) expect(found).toBe(last.get(key));
          } else {
            last.set(key, picture(bytes));
            cache.set(key, last.get(key) ?? picture(0));
          }
          expect(cache.bytes).toBeLessThanOrEqual(MAX_BYTES);
          const held = [...last.keys()].reduce((sum, key) => sum + (cache.get(key)?.bytes.length ?? 0), 0);
          expect(held).toBeLessThanOrEqual(cache.bytes);
        }
      }),
    );
  });

  it('makes room by what was not used for longest', () => {
    const cache = new BoundedCache(MAX_BYTES, pictureBytes);
    for (const key of ['a', 'b', 'c']) cache.set(key, picture(1_000));
    cache.get('a');
    cache.set('d', picture(1_000));
    expect(['a', 'b', 'c', 'd'].map((key) => cache.get(key) !== undefined)).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  it('counts the labels of a minibatch, keys, and small values, and keeps nothing that is larger than itself', () => {
    const cache = new BoundedCache(MAX_BYTES, pictureBytes);
    cache.set('a', { ...picture(0), labels: ['x'.repeat(MAX_BYTES)] });
    cache.set('k'.repeat(MAX_BYTES), picture(0));
    cache.set('b', picture(MAX_BYTES));
    expect(cache.bytes).toBe(0);
    for (let index = 0; index < 1_000; index += 1) cache.set(String(index), picture(0));
    expect(cache.bytes).toBeGreaterThan(0);
    expect(cache.bytes).toBeLessThanOrEqual(MAX_BYTES);
  });
});
