import { describe, expect, it } from 'vitest';
import { fillDropoutMask, type MaskPosition } from '../../../src/pipeline/model/dropout-mask.ts';

const POSITION: MaskPosition = { seed: 1, epoch: 2, batch: 3, layer: 0 };

function maskOf(size: number, probability: number, position: Partial<MaskPosition> = {}): Float32Array {
  const mask = new Float32Array(size).fill(Number.NaN);
  fillDropoutMask(mask, probability, { ...POSITION, ...position });
  return mask;
}

/** Share of values that are dropped in both masks. */
function overlap(a: Float32Array, b: Float32Array): number {
  return a.filter((value, index) => value === 0 && b[index] === 0).length / a.length;
}

describe('fillDropoutMask', () => {
  // By a Philox4x32-10 in Python: 1 where the value is kept.
  it.each([
    ['half', 0.5, '1001011011100110010000001010110101110110'],
    ['a fifth', 0.2, '1011111011110111110010111111110111111110'],
  ])('drops %s of the values: the same ones on every machine', (_, probability, bits) => {
    const kept = Math.fround(1 / (1 - probability));
    const expected = Array.from(bits, (bit) => (bit === '1' ? kept : 0));
    expect([...maskOf(bits.length, probability)]).toEqual(expected);
  });

  it.each([0.1, 0.2, 0.5, 0.9])(
    'drops %d of them, and scales the others up: the mean stays 1',
    (probability) => {
      const size = 1 << 20;
      const mask = maskOf(size, probability);
      const dropped = mask.filter((value) => value === 0).length / size;
      // Six standard deviations of a binomial share.
      const tolerance = 6 * Math.sqrt((probability * (1 - probability)) / size) + 2 ** -16;
      expect(Math.abs(dropped - probability)).toBeLessThan(tolerance);
      expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / (1 - probability))]));
    },
  );

  it('drops nothing with the probability 0', () => {
    expect(new Set(maskOf(1_000, 0))).toEqual(new Set([1]));
  });

  it('is a pure function of the position; a longer mask begins like a shorter one', () => {
    const long = maskOf(50_001, 0.5);
    expect(maskOf(50_001, 0.5)).toEqual(long);
    for (const size of [1, 7, 8_191, 8_192, 8_193, 20_000]) {
      expect(maskOf(size, 0.5)).toEqual(long.subarray(0, size));
    }
  });

  it.each([
    ['seed', { seed: 2 }],
    ['seed above 2^32', { seed: 2 ** 32 + 1 }],
    ['epoch', { epoch: 3 }],
    ['batch', { batch: 4 }],
    ['layer', { layer: 1 }],
  ])('another %s drops others: a quarter of the values falls in both masks', (_, change) => {
    const size = 1 << 18;
    expect(overlap(maskOf(size, 0.5), maskOf(size, 0.5, change))).toBeCloseTo(0.25, 2);
  });

  it('has no neighbours that fall together', () => {
    const mask = maskOf((1 << 18) + 8, 0.5);
    for (const shift of [1, 2, 3, 4, 8]) {
      expect(overlap(mask.slice(0, 1 << 18), mask.slice(shift, shift + (1 << 18)))).toBeCloseTo(0.25, 2);
    }
  });
});
