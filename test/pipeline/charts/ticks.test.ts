import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTicks, niceStep, ticksBetween } from '../../../src/pipeline/charts/ticks.ts';

describe('niceStep', () => {
  it.each([
    [8, 6, 2],
    [100, 6, 20],
    [0.025, 6, 0.005],
    [89, 9, 10],
    [6, 6, 1],
    [1e-9, 5, 2e-10],
    [0, 6, 1],
    [Number.NaN, 6, 1],
    [Number.MIN_VALUE, 6, 1],
  ])('for a range of %d in at most %d steps is %d', (range, maxSteps, step) => {
    expect(niceStep(range, maxSteps)).toBe(step);
  });

  it('is 1, 2 or 5 times a power of ten, and divides the range into no more steps than asked', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-30, max: 1e30, noNaN: true }),
        fc.integer({ min: 2, max: 12 }),
        (range, maxSteps) => {
          const step = niceStep(range, maxSteps);
          expect(['1', '2', '5']).toContain(step.toExponential().split('e')[0]);
          expect(range / step).toBeLessThanOrEqual(maxSteps * (1 + 1e-6));
          expect(range / step).toBeGreaterThan(maxSteps / 2.5 - 1e-6);
        },
      ),
    );
  });
});

describe('ticksBetween', () => {
  it.each([
    [0, 0.3, 0.1, [0, 0.1, 0.2, 0.3]],
    [1, 90, 20, [20, 40, 60, 80]],
    [-1, 1, 0.5, [-1, -0.5, 0, 0.5, 1]],
    [0.5, 1.5, 1, [1]],
    [0.1, 0.9, 1, []],
  ])('%d to %d by %d', (low, high, step, ticks) => {
    expect(ticksBetween(low, high, step)).toEqual(ticks);
  });
});

describe('formatTicks', () => {
  it.each([
    [[0, 0.5, 1], 0.5, ['0.0', '0.5', '1.0']],
    [[0, 20, 100], 20, ['0', '20', '100']],
    [[0, 5e5, 1e6], 5e5, ['0', '5e5', '1.0e6']],
    [[0, 2e-10], 2e-10, ['0', '2e-10']],
  ])('%j by %d', (ticks, step, labels) => {
    expect(formatTicks(ticks, step)).toEqual(labels);
  });

  it('says exactly the value of each tick', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -12, max: 30 }),
        fc.constantFrom(1, 2, 5),
        fc.integer({ min: -20, max: 20 }),
        (power, multiple, first) => {
          const step = Number(`${multiple}e${power}`);
          const ticks = ticksBetween(first * step, (first + 6) * step, step);
          const labels = formatTicks(ticks, step);
          expect(labels).toHaveLength(7);
          labels.forEach((label, index) => {
            expect(Number(label)).toBeCloseTo(ticks[index] ?? Number.NaN, 11 - power);
            expect(Number(label) / step).toBeCloseTo(first + index, 6);
          });
        },
      ),
    );
  });
});
