import { describe, expect, it } from 'vitest';
import { keyOfSeed, philoxBlocks } from '../../../src/pipeline/model/philox.ts';

/** Random123 1.09, tests/kat_vectors: "philox4x32 10". */
const KNOWN_ANSWERS = [
  { counter: [0, 0, 0, 0], key: [0, 0], block: '6627e8d5 e169c58d bc57ac4c 9b00dbd8' },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    block: '408f276d 41c83b0e a20bc7c6 6d5451fd',
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    block: 'd16cfe09 94fdcceb 5001e420 24126ea1',
  },
] as const;

describe('philoxBlocks', () => {
  it.each(KNOWN_ANSWERS)('gives $block', ({ counter, key, block }) => {
    const out = new Uint32Array(4);
    philoxBlocks(counter[0], counter[1], counter[2], counter[3], { low: key[0], high: key[1] }, out);
    expect([...out].map((word) => word.toString(16).padStart(8, '0')).join(' ')).toBe(block);
  });

  it('counts blocks, so that any part of a stream can be drawn alone', () => {
    const key = keyOfSeed(42);
    const [whole, part] = [new Uint32Array(40), new Uint32Array(12)];
    philoxBlocks(0, 1, 2, 3, key, whole);
    philoxBlocks(5, 1, 2, 3, key, part);
    expect(part).toEqual(whole.slice(20, 32));
    expect(new Set(whole).size).toBe(40);
  });

  it('keeps all 53 bits of a seed', () => {
    expect(keyOfSeed(Number.MAX_SAFE_INTEGER)).toEqual({ low: 0xffffffff, high: 0x1fffff });
    expect(keyOfSeed(0x1_0000_0005)).toEqual({ low: 5, high: 1 });
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN])('refuses the seed %d', (seed) => {
    expect(() => keyOfSeed(seed)).toThrow(RangeError);
  });
});
