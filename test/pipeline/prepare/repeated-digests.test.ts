import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RepeatedDigests } from '../../../src/pipeline/prepare/repeated-digests.ts';
import { sha256 } from '../../../src/storage/digest.ts';

const digestOf = (index: number) => sha256(Buffer.from(String(index)));

describe('RepeatedDigests', () => {
  it('finds exactly the digests that were added more than once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(400), { maxLength: 300 }), async (indexes) => {
        const digests = new RepeatedDigests();
        for (const index of indexes) digests.add(digestOf(index));
        const repeated = await digests.find();
        const twice = [...new Set(indexes)].filter(
          (index) => indexes.indexOf(index) !== indexes.lastIndexOf(index),
        );
        expect(repeated.size).toBe(twice.length);
        for (let index = 0; index <= 400; index++) {
          expect(repeated.has(digestOf(index))).toBe(twice.includes(index));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('holds many, also when they fall into one group', async () => {
    const digests = new RepeatedDigests();
    const near = (index: number) => `sha256:ab${index.toString(16).padStart(62, '0')}`;
    const far = (index: number) => `sha256:ab${index.toString(16).padStart(11, '0')}${'0'.repeat(51)}`;
    for (let index = 0; index < 5_000; index++) digests.add(far(index));
    expect((await digests.find()).size).toBe(0);
    // Those that differ in later digits only may be taken for equal: the caller compares in full.
    digests.add(near(1));
    digests.add(near(2));
    expect((await digests.find()).has(near(3))).toBe(true);
  });

  it('refuses what is no digest', () => {
    expect(() => new RepeatedDigests().add('md5:zz')).toThrow('expected sha256:<hex>');
  });
});
