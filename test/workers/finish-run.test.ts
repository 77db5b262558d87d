import { describe, expect, it } from 'vitest';
import { commitDocument, planDocument } from '../../src/contract/ledger.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { finishRun } from '../../src/workers/finish-run.ts';
import { TestStores } from '../pipeline/source/support.ts';
import { fakeRun } from '../support/fake-run.ts';

const run = fakeRun();

async function ledgerWith(shards: number, committed: readonly number[]): Promise<RunLedger> {
  const ledger = new RunLedger(new MemoryStore(new MemoryBucket('out')));
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards, items: shards });
  for (const shard of committed) {
    await ledger.commit({
      schema: commitDocument.id,
      run: run.run,
      shard,
      token: 'token00000',
      worker: 'w',
      committedAt: '2026-01-02T03:04:06.000Z',
      part: { key: 'parts/x', bytes: 1, digest: 'sha256:22', rows: 1 },
      errors: null,
      items: 1,
      labelled: 1,
      errorsByCode: {},
      bytesRead: 1,
      seconds: 1,
      stages: { fetch: 0, decode: 0, compute: 0, write: 0 },
    });
  }
  return ledger;
}

describe('finishRun', () => {
  it('writes one summary when every shard has a commit', async () => {
    const ledger = await ledgerWith(3, [0, 1, 2]);
    const summary = await finishRun(ledger, run, new Map(), new TestStores());
    expect(summary).toMatchObject({ items: 3, shards: 3 });
    expect(await finishRun(ledger, run, new Map(), new TestStores())).toEqual(summary);
    expect(await ledger.state()).toBe('done');
  });

  it.each([
    [4, [1, 2], [0, 3]],
    [3, [], [0, 1, 2]],
    [3, [0, 1], [2]],
  ])('of %i shards with commits of %j finds %j missing', async (shards, committed, missing) => {
    const ledger = await ledgerWith(shards, committed);
    const reasons = new Map([[missing[0] ?? -1, 'ENGINE_FAILED: broken']]);
    await expect(finishRun(ledger, run, reasons, new TestStores())).rejects.toMatchObject({
      code: 'SHARDS_FAILED',
      message: `${missing.length} of ${shards} shards have no result; shard ${missing[0]}: ENGINE_FAILED: broken`,
    });
    expect((await ledger.findFailure())?.shards.map(({ shard }) => shard)).toEqual(missing);
    expect(await ledger.findSummary()).toBeNull();
    expect(await ledger.state()).toBe('failed');
  });

  it('counts all that are missing, and lists a hundred', async () => {
    const ledger = await ledgerWith(1_000, [500]);
    await expect(finishRun(ledger, run, new Map(), new TestStores())).rejects.toThrow(
      '999 of 1000 shards have no result',
    );
    expect((await ledger.findFailure())?.shards).toHaveLength(100);
  });
});
