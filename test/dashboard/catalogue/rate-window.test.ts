import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateWindow } from '../../../src/dashboard/catalogue/rate-window.ts';

const step = fc.record({ afterMs: fc.integer({ min: 0, max: 60_000 }), items: fc.nat(10_000) });

describe('a rate window', () => {
  it('tells nothing before there are two samples', () => {
    const window = new RateWindow();
    expect(window.imagesPerSecond(0)).toBeNull();
    window.add(10, 0);
    expect(window.imagesPerSecond(1_000)).toBeNull();
    window.add(110, 1_000);
    expect(window.imagesPerSecond(1_000)).toBe(100);
  });

  it('falls while nothing happens, to nothing', () => {
    const window = new RateWindow();
    window.add(0, 0);
    window.add(100, 1_000);
    expect(window.imagesPerSecond(2_000)).toBe(50);
    expect(window.imagesPerSecond(31_001)).toBe(0);
  });

  it('begins anew where a count, or a clock, goes back', () => {
    const window = new RateWindow();
    window.add(0, 10_000);
    window.add(100, 11_000);
    window.add(50, 12_000);
    expect(window.imagesPerSecond(12_000)).toBeNull();
    window.add(60, 3_000);
    window.add(70, 4_000);
    expect(window.imagesPerSecond(4_000)).toBe(10);
  });

  it('never is negative, infinite or more than all items in the shortest stretch, for any history', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 200 }), (steps) => {
        const window = new RateWindow();
        let [atMs, items] = [0, 0];
        window.add(0, 0);
        for (const { afterMs, items: more } of steps) {
          atMs += afterMs;
          items += more;
          window.add(items, atMs);
          const rate = window.imagesPerSecond(atMs);
          if (rate === null) continue;
          expect(rate).toBeGreaterThanOrEqual(0);
          expect(rate).toBeLessThanOrEqual(items / 0.5);
        }
      }),
    );
  });

  it('is right for work that goes on at one speed, whenever it is asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000 }),
        fc.array(fc.integer({ min: 500, max: 5_000 }), { minLength: 1, maxLength: 100 }),
        (perSecond, waits) => {
          const window = new RateWindow();
          let atMs = 0;
          window.add(0, 0);
          for (const wait of waits) {
            atMs += wait;
            window.add((perSecond * atMs) / 1_000, atMs);
          }
          expect(window.imagesPerSecond(atMs)).toBeCloseTo(perSecond, 6);
        },
      ),
    );
  });

  it('forgets what is older than the window', () => {
    const window = new RateWindow();
    for (let second = 0; second <= 60; second += 1) window.add(second * 10, second * 1_000);
    for (let second = 61; second <= 120; second += 1) window.add(600 + (second - 60) * 1_000, second * 1_000);
    expect(window.imagesPerSecond(120_000)).toBeCloseTo(1_000, 0);
  });
});
