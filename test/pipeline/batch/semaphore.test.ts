import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Semaphore } from '../../../src/pipeline/batch/semaphore.ts';

it('never lets more in than there are slots, lets all of them in, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 30 }),
      async (size, turns) => {
        const slots = new Semaphore(size);
        const started: number[] = [];
        let inside = 0;
        let most = 0;
        await Promise.all(
          turns.map(async (wait, index) => {
            await slots.acquire();
            started.push(index);
            most = Math.max(most, ++inside);
            for (let turn = 0; turn < wait; turn++) await Promise.resolve();
            inside--;
            slots.release();
          }),
        );
        expect(most).toBeLessThanOrEqual(size);
        expect(started).toEqual(turns.map((_, index) => index));
      },
    ),
    { numRuns: 50 },
  );
});

it('uses all places, and gives one back when work fails', async () => {
  const slots = new Semaphore(3);
  await Promise.all([slots.acquire(), slots.acquire(), slots.acquire()]);
  let entered = false;
  const fourth = slots.run(async () => {
    entered = true;
    throw new Error('failed');
  });
  const outcome = expect(fourth).rejects.toThrow('failed');
  await new Promise((resolve) => setImmediate(resolve));
  expect(entered).toBe(false);
  slots.release();
  await outcome;
  await slots.acquire();
});
