import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shortestFloat32 } from '../../../src/pipeline/sink/float32-decimal.ts';

const float32 = fc.float({ noNaN: true, noDefaultInfinity: true });

describe('shortestFloat32', () => {
  it('reads back as the same float32', () => {
    fc.assert(
      fc.property(float32, (value) => {
        expect(Math.fround(Number(String(shortestFloat32(value))))).toBe(value + 0);
      }),
      { numRuns: 5000 },
    );
  });

  it('has no shorter decimal that reads back', () => {
    fc.assert(
      fc.property(fc.oneof(float32, fc.float({ min: 0, max: 1, noNaN: true })), (value) => {
        expect(hasShorterDecimal(value, digitsOf(shortestFloat32(value)))).toBe(false);
      }),
      { numRuns: 3000 },
    );
  });

  it('is the shortest for every power of two, where float32 lie unevenly', () => {
    const powers = Array.from({ length: 277 }, (_, index) => 2 ** (index - 149));
    expect(powers.filter((power) => hasShorterDecimal(power, digitsOf(shortestFloat32(power))))).toEqual([]);
    expect(powers.filter((power) => Math.fround(shortestFloat32(power)) !== power)).toEqual([]);
  });

  // Expected: str(numpy.float32(x)) of numpy 2.
  it.each([
    [0.91, '0.91'],
    [1 / 3, '0.33333334'],
    [0.1 + 0.2, '0.3'],
    [16777216, '16777216'],
    [1e-7, '1e-7'],
    [1e-14, '1e-14'],
    [2 ** -149, '1e-45'],
    [2 ** -126, '1.1754944e-38'],
    [3.4028234663852886e38, '3.4028235e+38'],
    [9.999999e-15, '9.999999e-15'],
    [0.99999994, '0.99999994'],
    [-2.5, '-2.5'],
    [-0, '0'],
  ])('prints %d as %s', (value, expected) => {
    expect(String(shortestFloat32(value))).toBe(expected);
  });
});

function digitsOf(value: number): number {
  const [mantissa = ''] = Math.abs(value).toExponential().split('e');
  return mantissa.replace('.', '').length;
}

/** Whether a decimal of fewer digits, the nearest or one of its neighbours, reads back as `value`. */
function hasShorterDecimal(value: number, digits: number): boolean {
  for (let fewer = 1; fewer < digits; fewer++) {
    const [mantissa = '', power = ''] = value.toExponential(fewer - 1).split('e');
    const nearest = Number(mantissa.replace('.', ''));
    const shift = Number(power) - fewer + 1;
    const candidates = [nearest - 1, nearest, nearest + 1].map((digit) => Number(`${digit}e${shift}`));
    if (candidates.some((candidate) => Math.fround(candidate) === Math.fround(value))) return true;
  }
  return false;
}
