import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { SlabPool } from '../../../src/pipeline/batch/slab-pool.ts';

describe('SlabPool', () => {
  it('never has more slabs in use than allowed, and uses them again', async () => {
    const pool = new SlabPool(8, 2);
    const [a, b] = [await pool.acquire(), await pool.acquire()];
    let third: ArrayBuffer | undefined;
    const waiting = pool.acquire().then((slab) => (third = slab));
    await sleep(2);
    expect(third).toBeUndefined();
    pool.release(a);
    await waiting;
    expect(third).toBe(a);
    expect(b).not.toBe(a);
  });

  it('replaces a slab that went down with its thread', async () => {
    const pool = new SlabPool(8, 1);
    const lost = await pool.acquire();
    structuredClone(lost, { transfer: [lost] });
    pool.release(lost);
    expect((await pool.acquire()).byteLength).toBe(8);
  });
});
