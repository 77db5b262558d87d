import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LabelRun } from '../../src/contract/run.ts';
import type { Source, SourceEntry } from '../../src/pipeline/source/source.ts';
import { planRun, type PlannedShard } from '../../src/producer/plan-run.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';
import { fakeRun } from '../support/fake-run.ts';

/** A listing of `names` whose cursor is the last name; counts how many entries were read. */
class ListSource implements Source {
  readonly names: string[];
  read = 0;

  constructor(names: readonly string[]) {
    this.names = [...names];
  }

  async *list(cursor?: string): AsyncGenerator<SourceEntry[]> {
    const rest = this.names.filter((name) => cursor === undefined || name > cursor);
    for (let start = 0; start < rest.length; start += 7) {
      const page = rest.slice(start, start + 7);
      this.read += page.length;
      yield page.map((name) => ({ item: { uri: `memory://source/${name}` }, cursor: name }));
    }
  }
}

const names = (count: number) =>
  Array.from({ length: count }, (_, index) => `${String(index).padStart(6, '0')}.jpg`);
const newLedger = () => new RunLedger(new MemoryStore(new MemoryBucket('out')));

async function planAll(ledger: RunLedger, run: LabelRun, source: Source, from = 0): Promise<PlannedShard[]> {
  const shards: PlannedShard[] = [];
  for await (const chunk of planRun(ledger, run, source, from)) shards.push(...chunk);
  return shards;
}

async function plannedUris(ledger: RunLedger): Promise<string[]> {
  const uris: string[] = [];
  for await (const index of ledger.plannedShards()) {
    uris.push(...(await ledger.readShard(index)).items.map(({ uri }) => uri));
  }
  return uris;
}

describe('planRun', () => {
  it('puts every item into exactly one shard, in order, and says so in plan.json', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 120 }),
        fc.integer({ min: 1, max: 13 }),
        async (count, shardSize) => {
          const [ledger, run, source] = [newLedger(), fakeRun({ shardSize }), new ListSource(names(count))];
          const shards = await planAll(ledger, run, source);
          expect(shards.map(({ shard }) => shard)).toEqual(shards.map((_, index) => index));
          expect(shards.reduce((sum, { items }) => sum + items, 0)).toBe(count);
          expect(await plannedUris(ledger)).toEqual(source.names.map((name) => `memory://source/${name}`));
          expect(await ledger.findPlan()).toMatchObject({
            shards: Math.ceil(count / shardSize),
            items: count,
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('continues an interrupted plan without repeating a shard or reading the listing again', async () => {
    const [ledger, run] = [newLedger(), fakeRun({ shardSize: 10 })];
    const dying = new ListSource(names(95));
    const first: PlannedShard[] = [];
    for await (const chunk of planRun(ledger, run, dying, 0)) {
      first.push(...chunk);
      break;
    }
    expect(first.length).toBeGreaterThan(0);
    const planned = (await plannedUris(ledger)).length;
    const next = new ListSource(names(95));
    const rest = await planAll(ledger, run, next, first.length);
    expect([...first, ...rest].map(({ shard }) => shard)).toEqual(Array.from({ length: 10 }, (_, i) => i));
    expect(next.read).toBe(95 - planned);
    expect(await plannedUris(ledger)).toHaveLength(95);
  });

  it('tells the sizes of shards that were there before, when a run is put on the queue again', async () => {
    const [ledger, run] = [newLedger(), fakeRun({ shardSize: 10 })];
    await planAll(ledger, run, new ListSource(names(25)));
    const again = new ListSource(names(25));
    expect(await planAll(ledger, run, again)).toEqual([
      { shard: 0, items: 10 },
      { shard: 1, items: 10 },
      { shard: 2, items: 5 },
    ]);
    expect(again.read).toBe(0);
  });

  it('agrees with a planner that works at the same time on a listing that has changed', async () => {
    const [ledger, run] = [newLedger(), fakeRun({ shardSize: 5 })];
    const before = new ListSource(names(40));
    const after = new ListSource([...names(40), '000003-late.jpg', '000021-late.jpg', '000050.jpg'].sort());
    await Promise.all([planAll(ledger, run, before), planAll(ledger, run, after)]);
    const uris = await plannedUris(ledger);
    expect(new Set(uris).size).toBe(uris.length);
    for (const name of before.names) expect(uris).toContain(`memory://source/${name}`);
  });

  it('refuses an empty listing', async () => {
    await expect(planAll(newLedger(), fakeRun(), new ListSource([]))).rejects.toMatchObject({
      code: 'SOURCE_EMPTY',
    });
  });

  it('stops at an abort', async () => {
    const stop = AbortSignal.abort(new Error('stop'));
    const plan = planRun(newLedger(), fakeRun(), new ListSource(names(30)), 0, stop);
    await expect(plan.next()).rejects.toThrow('stop');
  });

  it('lists no further than a store that is slow to take shards: what waits is one shard and one page', async () => {
    const store = new MemoryStore(new MemoryBucket('out'));
    let release = (): void => {};
    const slow = wrapStore(store, {
      putIfAbsent: async (key, body) => {
        await new Promise<void>((resolve) => (release = resolve));
        return store.putIfAbsent(key, body);
      },
    });
    const source = new ListSource(names(10_000));
    const planning = planAll(new RunLedger(slow), fakeRun({ shardSize: 10 }), source);
    for (let written = 1; written <= 20; written += 1) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(source.read).toBeLessThanOrEqual(10 * written + 7);
      release();
    }
    const finish = setInterval(() => release(), 0);
    expect((await planning).length).toBe(1_000);
    clearInterval(finish);
  });
});
