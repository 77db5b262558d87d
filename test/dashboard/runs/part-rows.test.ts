import { describe, expect, it } from 'vitest';
import type { Commit } from '../../../src/contract/ledger.ts';
import { PartRows } from '../../../src/dashboard/runs/part-rows.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { fakeRun } from '../../support/fake-run.ts';
import { writeDoneRun } from '../../support/labelled-run.ts';
import { countedMemory } from '../support.ts';

async function write(shards: number) {
  const stores = countedMemory();
  const ledger = new RunLedger(stores.resolver.open('memory://run/'));
  const run = fakeRun({ shardSize: 5, format: 'parquet' });
  const items = Array.from({ length: 5 * shards }, (_, index) => ({ uri: `memory://source/${index}.png` }));
  await writeDoneRun(ledger, run, items, () => false);
  const commits: Commit[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    const commit = await ledger.findCommit(shard);
    if (commit === null) throw new Error(`shard ${shard} has no commit`);
    commits.push(commit);
  }
  return { ...stores, ledger, commits, items };
}

describe('PartRows', () => {
  it('reads a part once, also for those who ask while it is being read', async () => {
    const { ledger, commits, items, calls } = await write(2);
    const parts = new PartRows();
    const before = calls.get;
    const read = async () => {
      const pages = await Promise.all(commits.map((commit) => parts.read(ledger, commit, 'parquet')));
      return pages.flat().map((row) => row.uri);
    };
    const expected = items.map((item) => item.uri);
    expect(await Promise.all([read(), read(), read()])).toEqual([expected, expected, expected]);
    expect(await read()).toEqual(expected);
    expect(calls.get - before).toBe(2);
  });

  it('forgets what does not fit', async () => {
    const { ledger, commits, calls } = await write(2);
    const parts = new PartRows(4_000);
    const before = calls.get;
    for (const commit of [...commits, ...commits]) {
      expect(await parts.read(ledger, commit, 'parquet')).toHaveLength(5);
    }
    expect(calls.get - before).toBe(4);
  });

  it('reads again what another run has written in the same place', async () => {
    const { ledger, commits } = await write(1);
    const parts = new PartRows();
    const [commit] = commits;
    if (commit === undefined) throw new Error('expected a commit');
    await parts.read(ledger, commit, 'parquet');
    await ledger.store.put(commit.part.key, new TextEncoder().encode('no Parquet'));
    expect(await parts.read(ledger, commit, 'parquet')).toHaveLength(5);
    const other = { ...commit, part: { ...commit.part, digest: 'another' } };
    await expect(parts.read(ledger, other, 'parquet')).rejects.toMatchObject({ code: 'CONTRACT_INVALID' });
    // A failure is not kept.
    await ledger.store.delete(commit.part.key);
    await expect(parts.read(ledger, other, 'parquet')).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
  });
});
