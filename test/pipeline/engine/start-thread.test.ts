import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ownBuffer, startThread } from '../../../src/pipeline/engine/start-thread.ts';

describe('ownBuffer', () => {
  it('keeps a buffer that holds nothing else', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    expect(ownBuffer(bytes).buffer).toBe(bytes.buffer);
  });

  it.each([
    ['the start', 0, 2],
    ['the middle', 1, 3],
    ['the end', 2, 4],
  ])('copies a view of %s, so that the rest is not transferred', (_where, start, end) => {
    const whole = Uint8Array.of(1, 2, 3, 4);
    const own = ownBuffer(whole.subarray(start, end));
    expect([...own]).toEqual(Array.from(whole.subarray(start, end)));
    structuredClone(own.buffer, { transfer: [own.buffer] });
    expect([...whole]).toEqual([1, 2, 3, 4]);
  });

  it('copies what threads share', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(2)).fill(9);
    const own = ownBuffer(shared);
    expect([own.buffer instanceof ArrayBuffer, ...own]).toEqual([true, 9, 9]);
  });
});

describe('startThread', () => {
  it('fails with what is wrong where there is no such module', async () => {
    const thread = startThread('no-such-thread', {}, []);
    const [error] = (await once(thread, 'error').catch((error: unknown) => [error])) as [Error];
    expect(error.message).toContain('no-such-thread');
    await thread.terminate();
  });
});
