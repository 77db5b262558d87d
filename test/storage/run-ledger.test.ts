import { describe, expect, it } from 'vitest';
import {
  commitDocument,
  failureDocument,
  planDocument,
  summaryDocument,
  type Commit,
} from '../../src/contract/ledger.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { summarise } from '../../src/storage/summarise-run.ts';
import { fakeRun } from '../support/fake-run.ts';

const run = fakeRun();
const newLedger = () => new RunLedger(new MemoryStore(new MemoryBucket('out')));

function commitOf(shard: number, token: string, errors = 0): Commit {
  return {
    schema: commitDocument.id,
    run: run.run,
    shard,
    token,
    worker: 'w',
    committedAt: `2026-01-02T03:04:${String(15 + shard).padStart(2, '0')}.000Z`,
    part: { key: `parts/${shard}.${token}.jsonl`, bytes: 1, digest: 'sha256:22', rows: 10 - errors },
    errors: null,
    items: 10,
    labelled: 10 - errors,
    errorsByCode: errors === 0 ? {} : { IMAGE_EMPTY: errors },
    bytesRead: 100,
    seconds: 1,
    stages: { fetch: 1, decode: 2, compute: 3, write: 4 },
  };
}

describe('RunLedger', () => {
  it('lets one commit of a shard stand, whoever comes later', async () => {
    const ledger = newLedger();
    const tokens = Array.from({ length: 20 }, (_, index) => `token${String(index).padStart(5, '0')}`);
    const standing = await Promise.all(tokens.map((token) => ledger.commit(commitOf(3, token))));
    expect(new Set(standing.map(({ token }) => token)).size).toBe(1);
    expect((await ledger.findCommit(3))?.token).toBe(standing[0]?.token);
  });

  it('recognises its own commit after a lost reply', async () => {
    const ledger = newLedger();
    const mine = commitOf(0, 'mine00000');
    await ledger.commit(mine);
    expect((await ledger.commit(mine)).token).toBe('mine00000');
  });

  it('reads commits in shard order, and shards of any number of digits', async () => {
    const ledger = newLedger();
    for (const shard of [1_000_000, 2, 0, 40])
      await ledger.commit(commitOf(shard % 45, `token${String(shard).padStart(9, '0')}`));
    const shards: number[] = [];
    for await (const { shard } of ledger.commits()) shards.push(shard);
    expect(shards).toEqual([...shards].sort((a, b) => a - b));
    expect(shards).toHaveLength(4);
  });

  it('tells the state of a run from its documents', async () => {
    const ledger = newLedger();
    expect(await ledger.state()).toBe('planning');
    await ledger.createPlan({ schema: planDocument.id, run: run.run, shards: 1, items: 10 });
    expect(await ledger.state()).toBe('running');
    const failedAt = '2026-01-02T03:05:00.000Z';
    await ledger.writeFailure({
      schema: failureDocument.id,
      run: run.run,
      failedAt,
      code: 'X',
      message: 'x',
      shards: [],
    });
    expect(await ledger.state()).toBe('failed');
    await ledger.clearFailure();
    await ledger.cancel(run.run, new Date(failedAt));
    expect(await ledger.state()).toBe('cancelled');
    await ledger.createSummary(await summarise(ledger, run).then((sum) => ({ ...sum, shards: 1 })));
    expect(await ledger.state()).toBe('done');
  });

  it('refuses documents of another version', async () => {
    const ledger = newLedger();
    await ledger.store.put('run.json', new TextEncoder().encode('{"schema":"imagemill.run/99"}'));
    await expect(ledger.readRun()).rejects.toMatchObject({ code: 'CONTRACT_VERSION_UNKNOWN' });
  });

  it('says where it expected a run', async () => {
    await expect(newLedger().readRun()).rejects.toThrow('expected a run at memory://out/, found no run.json');
  });
});

describe('summarise', () => {
  it('adds commits up and takes the time from submission to the last of them', async () => {
    const ledger = newLedger();
    await ledger.commit(commitOf(0, 'token00000', 2));
    await ledger.commit(commitOf(5, 'token00001', 1));
    expect(await summarise(ledger, run)).toEqual({
      schema: summaryDocument.id,
      run: run.run,
      items: 20,
      labelled: 17,
      errors: 3,
      errorsByCode: { IMAGE_EMPTY: 3 },
      shards: 2,
      bytesRead: 200,
      startedAt: '2026-01-02T03:04:05.000Z',
      finishedAt: '2026-01-02T03:04:20.000Z',
      seconds: 15,
      imagesPerSecond: 1.3,
      stages: { fetch: 2, decode: 4, compute: 6, write: 8 },
    });
  });

  it('lists the shards from one on, of a run with more than a million as well', async () => {
    const ledger = newLedger();
    const shards = [0, 1, 5, 99_999, 999_999];
    for (const shard of shards)
      await ledger.store.put(`commits/${String(shard).padStart(6, '0')}.json`, new Uint8Array());
    const from = async (shard: number) => {
      const found: number[] = [];
      for await (const each of ledger.committedShards(shard)) found.push(each);
      return found.toSorted((a, b) => a - b);
    };
    expect(await from(0)).toEqual(shards);
    expect(await from(1)).toEqual(shards.slice(1));
    expect(await from(2)).toEqual(shards.slice(2));
    expect(await from(999_999)).toEqual([999_999]);
    expect(await from(1_000_000)).toEqual([]);
    // Their names sort among those with six digits.
    await ledger.store.put('shards/1000000.json', new Uint8Array());
    await ledger.store.put('commits/1000000.json', new Uint8Array());
    expect(await from(500_000)).toEqual([999_999, 1_000_000]);
    expect(await from(1_000_000)).toEqual([1_000_000]);
  });
});
