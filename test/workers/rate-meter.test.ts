import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateMeter } from '../../src/workers/rate-meter.ts';

describe('the rate meter', () => {
  it('tells a steady rate as it is, once its window is full', () => {
    let nowMs = 0;
    const meter = new RateMeter(() => nowMs);
    for (; nowMs < 30_000; nowMs += 100) meter.add(5);
    expect(meter.perSecond()).toBeCloseTo(50, 0);
  });

  it('tells that of a young meter over its life so far', () => {
    let nowMs = 4_000;
    const meter = new RateMeter(() => nowMs);
    meter.add(30);
    nowMs = 7_000;
    expect(meter.perSecond()).toBeCloseTo(10);
  });

  it('forgets what is more than ten seconds old', () => {
    let nowMs = 0;
    const meter = new RateMeter(() => nowMs);
    meter.add(1_000);
    nowMs = 8_900;
    expect(meter.perSecond()).toBeGreaterThan(100);
    nowMs = 10_000;
    expect(meter.perSecond()).toBe(0);
  });

  it('never tells more than came in the last ten seconds, nor less than in the last nine', () => {
    const comings = fc.array(
      fc.record({ afterMs: fc.integer({ min: 0, max: 12_000 }), images: fc.nat({ max: 1_000 }) }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(comings, (arrivals) => {
        let nowMs = 0;
        const meter = new RateMeter(() => nowMs);
        const came: { atMs: number; images: number }[] = [];
        for (const { afterMs, images } of arrivals) {
          nowMs += afterMs;
          meter.add(images);
          came.push({ atMs: nowMs, images });
        }
        const inLast = (ms: number) =>
          came.filter(({ atMs }) => atMs > nowMs - ms).reduce((sum, { images }) => sum + images, 0);
        const seconds = Math.max(1, Math.min(9 + (nowMs % 1_000) / 1_000, nowMs / 1_000));
        expect(meter.perSecond()).toBeLessThanOrEqual(inLast(10_000.5) / seconds + 1e-9);
        expect(meter.perSecond()).toBeGreaterThanOrEqual(inLast(9_000) / seconds - 1e-9);
      }),
    );
  });
});
