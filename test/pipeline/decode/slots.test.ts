import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createSlots } from '../../../src/pipeline/decode/slots.ts';

it('never lets more in than there are slots, lets all of them in, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 30 }),
      async (size, turns) => {
        const slots = createSlots(size);
        const started: number[] = [];
        let inside = 0;
        let most = 0;
        await Promise.all(
          turns.map(async (wait, index) => {
            const release = await slots.acquire();
            started.push(index);
            most = Math.max(most, ++inside);
            for (let turn = 0; turn < wait; turn++) await Promise.resolve();
            inside--;
            release();
          }),
        );
        expect(most).toBeLessThanOrEqual(size);
        expect(started).toEqual(turns.map((_, index) => index));
      },
    ),
    { numRuns: 50 },
  );
});

it('uses all slots', async () => {
  const slots = createSlots(3);
  const releases = [await slots.acquire(), await slots.acquire(), await slots.acquire()];
  let entered = false;
  const fourth = slots.acquire().then((release) => {
    entered = true;
    return release;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(entered).toBe(false);
  releases[1]?.();
  await fourth;
  expect(entered).toBe(true);
});
