import { beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import type { Commit } from '../../../src/contract/ledger.ts';
import { CommitReader } from '../../../src/dashboard/catalogue/commit-reader.ts';
import type { RunLedger } from '../../../src/storage/run-ledger.ts';
import { commitOf, FakeRuns, runId } from '../support.ts';

let runs: FakeRuns;
let ledger: RunLedger;
let seen: Commit[];
let reader: CommitReader;

beforeEach(async () => {
  runs = new FakeRuns();
  ledger = await runs.add(1, 'running');
  seen = [];
  reader = new CommitReader(
    ledger,
    (commit) => seen.push(commit),
    () => runs.nowMs,
  );
});

const commit = (shard: number, errors = 0) => ledger.commit(commitOf(runId(1), shard, errors));
const get = () => runs.stores.calls.get;

describe('a reader of commits', () => {
  it('adds up what it reads, and reads each commit once', async () => {
    for (const shard of [0, 1, 2]) await commit(shard, shard);
    await reader.refresh();
    const before = get();
    await reader.refresh();
    runs.nowMs += 30_000;
    await reader.refresh();
    expect(get()).toBe(before);
    expect(reader).toMatchObject({
      items: 30,
      labelled: 27,
      errorsByCode: { IMAGE_EMPTY: 3 },
      stages: { fetch: 3, decode: 6, compute: 9, write: 12 },
    });
    expect(seen.map(({ shard }) => shard).toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
  });

  it('reads what is announced without listing anything', async () => {
    await reader.refresh();
    await commit(7);
    const { list } = runs.stores.calls;
    reader.announce(7);
    await reader.refresh();
    expect([...reader.commits.keys()]).toEqual([7]);
    expect(runs.stores.calls.list).toBe(list);
    reader.announce(7);
    expect(reader.isBehind).toBe(false);
  });

  it('finds a commit whose event was lost, half a minute later', async () => {
    await reader.refresh();
    await commit(3);
    runs.nowMs += 29_999;
    await reader.refresh();
    expect(reader.commits.size).toBe(0);
    runs.nowMs += 1;
    await reader.refresh();
    expect(reader.commits.size).toBe(1);
  });

  it('lets go of an announced shard without a commit, until it is announced again', async () => {
    await reader.refresh();
    reader.announce(5);
    await reader.refresh();
    expect(reader).toMatchObject({ isBehind: false, items: 0 });
    await commit(5);
    reader.announce(5);
    await reader.refresh();
    expect(reader.items).toBe(10);
  });

  it('goes on where the store failed, and counts nothing twice', async () => {
    for (let shard = 0; shard < 100; shard += 1) await commit(shard);
    runs.stores.fail = (key) => {
      if (key.endsWith('000050.json')) throw new ImagemillError('STORE_UNREACHABLE', 'away');
    };
    await expect(reader.refresh()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(reader.isBehind).toBe(true);
    runs.stores.fail = null;
    await reader.refresh();
    expect(reader).toMatchObject({ isBehind: false, items: 1_000 });
    expect(seen).toHaveLength(100);
  });

  it('lists again where the listing failed', async () => {
    await commit(1);
    runs.stores.fail = (key) => {
      if (key.endsWith('commits/')) throw new ImagemillError('STORE_UNREACHABLE', 'away');
    };
    await expect(reader.refresh()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    runs.stores.fail = null;
    await reader.refresh();
    expect(reader.items).toBe(10);
  });

  it('shares one reading among callers at the same time', async () => {
    for (let shard = 0; shard < 10; shard += 1) await commit(shard);
    const before = get();
    await Promise.all(Array.from({ length: 50 }, () => reader.refresh()));
    expect(get() - before).toBe(10);
  });

  it('reads a bounded number at a time', async () => {
    for (let shard = 0; shard < 1_500; shard += 1) await commit(shard);
    await reader.refresh();
    expect([reader.commits.size, reader.isBehind]).toEqual([1_024, true]);
    await reader.refresh();
    expect([reader.commits.size, reader.isBehind]).toEqual([1_500, false]);
  });

  it('asks for nothing any more when every shard has a commit', async () => {
    for (let shard = 0; shard < 4; shard += 1) await commit(shard);
    await reader.refresh(4);
    const { list } = runs.stores.calls;
    runs.nowMs += 60_000;
    reader.announce(9);
    await reader.refresh(4);
    expect(runs.stores.calls.list).toBe(list);
    expect(reader.isBehind).toBe(false);
  });
});
