import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Item } from '../../../src/contract/item.ts';
import { wellFormed } from '../../../src/pipeline/sink/canonical-row.ts';
import { retrySource } from '../../../src/pipeline/source/retry-source.ts';
import { planRun } from '../../../src/producer/plan-run.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';
import type { ObjectStore } from '../../../src/storage/object-store.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { fakeRun } from '../../support/fake-run.ts';
import { writeDoneRun } from '../../support/labelled-run.ts';
import { collect, errorOf, expectResumable } from './support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

const newLedger = () => new RunLedger(new MemoryStore(new MemoryBucket('out')));

/** Items of few uris, so that many repeat; two of them can be told apart only by their half of a surrogate pair. */
const listedItem = fc.record({
  uri: fc.constantFrom(
    's3://b/a.jpg',
    's3://b/b.jpg',
    's3://b/t.tar#a.jpg',
    's3://b/\ud800',
    's3://b/\ud801',
  ),
  fails: fc.boolean(),
});
const format = fc.constantFrom('jsonl' as const, 'csv' as const, 'parquet' as const);
const size = fc.integer({ min: 1, max: 9 });

/** Every item inside a tar has an offset of its own. */
function makeItems(listed: readonly { uri: string }[]): Item[] {
  return listed.map(({ uri }, index) =>
    uri.includes('#')
      ? { uri, label: 'x', bytes: 7, within: { uri: 's3://b/t.tar', offset: index * 512, bytes: 7 } }
      : { uri, label: 'x', bytes: 7 },
  );
}

const counted = (uris: readonly string[]) => uris.map(wellFormed).toSorted();

describe('retrySource', () => {
  it('lists as many items of each uri as there are error rows, whatever the shards, and resumes anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(listedItem, { minLength: 1, maxLength: 40 }),
        size,
        size,
        format,
        runProperty,
      ),
      { numRuns: 60 },
    );

    async function runProperty(
      listed: { uri: string; fails: boolean }[],
      shardSize: number,
      batchSize: number,
      partFormat: 'jsonl' | 'csv' | 'parquet',
    ) {
      const [ledger, items] = [newLedger(), makeItems(listed)];
      const run = fakeRun({ shardSize, batchSize, format: partFormat });
      const failed = new Set(items.filter((_, index) => listed[index]?.fails));
      await writeDoneRun(ledger, run, items, (item) => failed.has(item));
      const entries = await expectResumable(retrySource(ledger, partFormat), 5);
      expect(counted(entries.map(({ item }) => item.uri))).toEqual(
        counted([...failed].map(({ uri }) => uri)),
      );
      const offsets = entries.flatMap(({ item }) => item.within?.offset ?? []);
      expect(new Set(offsets).size).toBe(offsets.length);
    }
  });

  it('gives a planner that died anywhere the same shards as one that lived', async () => {
    const [ledger, items] = [newLedger(), makeItems(Array.from({ length: 60 }, (_, i) => uriOf(i)))];
    await writeDoneRun(ledger, fakeRun({ shardSize: 7 }), items, ({ uri }) => !uri.endsWith('0.jpg'));
    const run = fakeRun({ shardSize: 4 });
    const source = () => retrySource(ledger, 'jsonl');
    const uninterrupted = newLedger();
    await planAll(uninterrupted);
    const expected = await shardsOf(uninterrupted);
    expect(expected.flat()).toHaveLength(54);
    for (let writes = 0; writes < expected.length; writes += 1) {
      const nested = newLedger();
      await expect(planAll(new RunLedger(failAfter(nested, writes)))).rejects.toThrow('died');
      await planAll(nested);
      expect(await shardsOf(nested)).toEqual(expected);
    }

    async function planAll(nested: RunLedger): Promise<void> {
      for await (const _chunk of planRun(nested, run, source(), 0)) continue;
    }
  });

  it('keeps labels and places inside tars, and leaves sizes out that a repair has changed', async () => {
    const ledger = newLedger();
    const within = { uri: 's3://b/t.tar', offset: 512, bytes: 9 };
    const items = [
      { uri: 's3://b/a.jpg', label: 'cat', bytes: 0 },
      { uri: 's3://b/t.tar#x.jpg', bytes: 9, within },
    ];
    await writeDoneRun(ledger, fakeRun(), items, () => true);
    expect((await collect(retrySource(ledger, 'jsonl'))).map(({ item }) => item)).toEqual([
      { uri: 's3://b/a.jpg', label: 'cat' },
      items[1],
    ]);
  });

  it.each([
    ['first', 0],
    ['second', 1],
  ])('of a member that a tar holds twice finds the %s, where that one failed', async (_, which) => {
    const ledger = newLedger();
    const member = (name: string, offset: number): Item => ({
      uri: `s3://b/t.tar#${name}`,
      within: { uri: 's3://b/t.tar', offset, bytes: 9 },
    });
    const twice = [member('x.jpg', 512), member('x.jpg', 4_096)] as const;
    const failed = twice[which];
    const items = [twice[0], member('y.jpg', 1_024), twice[1]];
    await writeDoneRun(ledger, fakeRun(), items, (item) => item === failed);
    expect((await collect(retrySource(ledger, 'jsonl'))).map(({ item }) => item)).toEqual([failed]);
  });

  it('refuses a cursor of another source', async () => {
    const ledger = newLedger();
    await writeDoneRun(ledger, fakeRun(), makeItems([{ uri: 's3://b/a.jpg' }]), () => true);
    expect((await errorOf(collect(retrySource(ledger, 'jsonl'), 'photos/1.jpg'))).code).toBe(
      'CONTRACT_INVALID',
    );
  });
});

function uriOf(index: number): { uri: string } {
  return { uri: `s3://b/${index}.jpg` };
}

async function shardsOf(ledger: RunLedger): Promise<string[][]> {
  const shards: string[][] = [];
  for await (const shard of ledger.plannedShards()) {
    shards.push((await ledger.readShard(shard)).items.map(({ uri }) => uri));
  }
  return shards;
}

/** A store that refuses everything after so many writes. */
function failAfter({ store }: RunLedger, writes: number): ObjectStore {
  let left = writes;
  return wrapStore(store, {
    putIfAbsent: (key, body) => {
      left -= 1;
      return left < 0 ? Promise.reject(new Error('died')) : store.putIfAbsent(key, body);
    },
  });
}
