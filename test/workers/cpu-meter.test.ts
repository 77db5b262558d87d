import { describe, expect, it } from 'vitest';
import { CpuMeter, cpuSecondsOfThisProcess } from '../../src/workers/cpu-meter.ts';

describe('the CPU meter', () => {
  it('tells how many cores were busy between two looks', () => {
    const meter = new CpuMeter();
    expect(meter.coresSinceLast(7, 10, 1_000)).toBeNull();
    expect(meter.coresSinceLast(7, 15, 3_000)).toBe(2.5);
    expect(meter.coresSinceLast(7, 15, 4_000)).toBe(0);
  });

  it('begins anew with another process, whatever its figures', () => {
    const meter = new CpuMeter();
    meter.coresSinceLast(7, 10, 1_000);
    expect(meter.coresSinceLast(8, 0.5, 2_000)).toBeNull();
    expect(meter.coresSinceLast(8, 1, 3_000)).toBe(0.5);
  });

  it('tells nothing of no time at all, and is not confused by the question', () => {
    const meter = new CpuMeter();
    meter.coresSinceLast(7, 1, 1_000);
    expect(meter.coresSinceLast(7, 1, 1_000)).toBeNull();
    expect(meter.coresSinceLast(7, 2, 2_000)).toBe(1);
  });

  it('sees this process at work', () => {
    const before = cpuSecondsOfThisProcess();
    const untilMs = performance.now() + 100;
    while (performance.now() < untilMs) Math.sqrt(untilMs);
    expect(cpuSecondsOfThisProcess() - before).toBeGreaterThan(0.02);
  });
});
