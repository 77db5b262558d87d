import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { mapAhead } from '../../../src/pipeline/batch/map-ahead.ts';

describe('mapAhead', () => {
  it('keeps the order and never runs more than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (delays, ahead) => {
          let [running, most] = [0, 0];
          const results: number[] = [];
          const mapped = mapAhead(delays.entries(), ahead, async ([index, delay]) => {
            running += 1;
            most = Math.max(most, running);
            await sleep(delay);
            running -= 1;
            return index;
          });
          for await (const result of mapped) results.push(result);
          expect(results).toEqual(delays.map((_, index) => index));
          expect(most).toBeLessThanOrEqual(ahead);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('does not take more from its source than it is asked for', async () => {
    let taken = 0;
    const source = (function* () {
      for (;;) yield (taken += 1);
    })();
    const mapped = mapAhead(source, 3, async (value) => value);
    await mapped.next();
    await mapped.next();
    await sleep(5);
    expect(taken).toBe(4);
    await mapped.return(undefined);
  });

  it('hands results nobody reads to dispose, when the reader leaves and when a call fails', async () => {
    for (const failing of [false, true]) {
      const disposed: number[] = [];
      const mapped = mapAhead(
        [0, 1, 2, 3],
        3,
        async (value) => {
          if (failing && value === 1) throw new Error('no');
          return value;
        },
        (value) => disposed.push(value),
      );
      expect((await mapped.next()).value).toBe(0);
      if (failing) await expect(mapped.next()).rejects.toThrow('no');
      else await mapped.return(undefined);
      expect(disposed.sort((a, b) => a - b)).toEqual(failing ? [2, 3] : [1, 2]);
    }
  });
});
