import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planJobId, runIdSchema, runOfJobId, shardJobId, shardName } from '../../src/contract/ids.ts';

const run = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';

describe('ids', () => {
  it('names shards so that they sort by index', () => {
    expect(shardName(42)).toBe('000042');
    expect(shardName(1_234_567)).toBe('1234567');
  });

  it('makes job ids that BullMQ accepts and that tell their run', () => {
    fc.assert(
      fc.property(fc.nat(99_999_999), fc.nat(), (shard, generation) => {
        const id = shardJobId(run, shard, generation);
        expect(id).not.toContain(':');
        expect(Number.isNaN(Number(id))).toBe(true);
        expect(runOfJobId(id)).toBe(run);
        expect(runOfJobId(planJobId(run, generation))).toBe(run);
      }),
    );
  });

  it('gives the same shard of the same generation the same id, and others another', () => {
    const ids = [shardJobId(run, 1, 0), shardJobId(run, 1, 1), shardJobId(run, 2, 0), planJobId(run, 0)];
    expect(new Set(ids).size).toBe(ids.length);
    expect(shardJobId(run, 1, 0)).toBe(ids[0]);
  });

  it('refuses ids of others', () => {
    expect(runOfJobId('backup.000001.g0')).toBeNull();
    expect(runIdSchema.safeParse('r-01JD3ZQ8W5T9V2B6N4K7M1C0XI').success).toBe(false);
  });
});
