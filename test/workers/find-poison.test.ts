import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findPoison, type Probe, type ProbeOutcome } from '../../src/workers/find-poison.ts';

const died: ProbeOutcome = { survived: false, how: 'SIGSEGV' };
const survived: ProbeOutcome = { survived: true };

function countingProbe(isDeadly: (start: number, end: number) => boolean): Probe & { count: () => number } {
  let count = 0;
  const probe = async (start: number, end: number) => {
    count += 1;
    return isDeadly(start, end) ? died : survived;
  };
  return Object.assign(probe, { count: () => count });
}

describe('findPoison', () => {
  it('finds exactly the deadly items of a shard, in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }).chain((items) =>
          fc.record({
            items: fc.constant(items),
            deadly: fc.uniqueArray(fc.integer({ min: 0, max: items - 1 }), { minLength: 1, maxLength: 12 }),
          }),
        ),
        async ({ items, deadly }) => {
          const probe = countingProbe((start, end) => deadly.some((index) => index >= start && index < end));
          const found = await findPoison(items, probe);
          expect(found).toEqual(deadly.toSorted((a, b) => a - b).map((index) => ({ index, how: 'SIGSEGV' })));
          expect(probe.count()).toBeLessThanOrEqual(
            1 + deadly.length * (2 * Math.ceil(Math.log2(items)) + 2),
          );
        },
      ),
    );
  });

  it('blames nobody where a harmless image dies as well', async () => {
    expect(
      await findPoison(
        100,
        countingProbe(() => true),
      ),
    ).toBeNull();
  });

  it('blames nobody where the machine falls ill while it looks', async () => {
    let probes = 0;
    const probe: Probe = async (start, end) => {
      probes += 1;
      return start === 0 && end === 0 && probes === 1 ? survived : died;
    };
    expect(await findPoison(8, probe)).toBeNull();
  });

  it('blames nobody for what only happens to many items together', async () => {
    const probe = countingProbe((start, end) => end - start > 6);
    expect(await findPoison(20, probe)).toEqual([]);
  });
});
