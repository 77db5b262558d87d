import { beforeEach, describe, expect, it } from 'vitest';
import { ledgerKeys } from '../../../src/storage/ledger-keys.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { commitOf, entryOf, FakeRuns, outOf, runId, runOf } from '../support.ts';
import { ImagemillError } from '../../../src/contract/errors.ts';

const ALL = { limit: 50 };
let runs: FakeRuns;

beforeEach(() => {
  runs = new FakeRuns();
});

/** A catalogue that has read the index, and every run once. */
async function read(more: Parameters<FakeRuns['catalogue']>[0] = {}) {
  const catalogue = runs.catalogue(more);
  await catalogue.tick();
  return catalogue;
}

async function later(catalogue: { tick(): Promise<void> }, ms: number): Promise<void> {
  runs.nowMs += ms;
  await catalogue.tick();
}

describe('the list of runs', () => {
  it('shows every state, newest first, with what is known of each', async () => {
    const states = ['planning', 'running', 'failed', 'cancelled', 'done', 'gone'] as const;
    for (const [number, state] of states.entries()) await runs.add(number, state);
    const { runs: shown, matching, pending, next } = (await read()).list(ALL);
    expect(shown.map(({ run }) => run)).toEqual([5, 4, 3, 2, 1, 0].map(runId));
    expect(shown.map(({ state }) => state)).toEqual([
      'unreadable',
      'done',
      'cancelled',
      'failed',
      'running',
      'planning',
    ]);
    expect({ matching, pending, next }).toEqual({ matching: 6, pending: 0, next: null });
    expect(shown[1]).toMatchObject({ items: 40, total: 40, errors: 3, progress: 1, etaSeconds: 0 });
    expect(shown[4]).toMatchObject({ items: 0, total: 40, progress: 0 });
    expect(shown[5]).toMatchObject({ total: null });
  });

  it('filters by kind, state and text, and counts what matches', async () => {
    await runs.add(1, 'done', { source: 's3://Holiday/Photos/', submittedBy: 'ada@mill' });
    await runs.add(2, 'running');
    await runs.add(3, 'gone', { kind: 'train' });
    const catalogue = await read();
    const ids = (query: Parameters<typeof catalogue.list>[0]) =>
      catalogue.list(query).runs.map(({ run }) => run);
    expect(ids({ ...ALL, kind: 'train' })).toEqual([runId(3)]);
    expect(ids({ ...ALL, state: 'running' })).toEqual([runId(2)]);
    for (const text of ['holiday/photos', ' ADA@ ', runId(1), 'runs/1'])
      expect(ids({ ...ALL, text }), text).toEqual([runId(1)]);
    expect(catalogue.list({ ...ALL, text: 'nothing' })).toEqual({
      runs: [],
      next: null,
      matching: 0,
      pending: 0,
    });
    expect(catalogue.list({ ...ALL, text: 'ada' }).runs[0]?.submittedBy).toBe('ada@mill');
  });

  it('gives every run once over all pages, however many are added meanwhile', async () => {
    for (let number = 10; number < 35; number += 1) await runs.add(number, 'gone');
    const catalogue = await read();
    const seen: string[] = [];
    let cursor: string | undefined;
    for (let added = 50; ; added += 1) {
      const { runs: shown, next } = catalogue.list({ limit: 4, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...shown.map(({ run }) => run));
      if (next === null) break;
      cursor = next;
      await runs.add(added, 'gone');
      await later(catalogue, 2_000);
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => runId(34 - index)));
  });
});

describe('what happens to runs', () => {
  it('is noticed: one that is new, one that ends, one that is resumed', async () => {
    const ledger = await runs.add(1, 'running');
    const catalogue = await read();
    await runs.add(2, 'planning');
    await later(catalogue, 2_000);
    expect(catalogue.known(runId(2))?.state).toBe('planning');
    await runs.fail(1);
    await later(catalogue, 5_000);
    expect(catalogue.known(runId(1))?.state).toBe('failed');
    expect(catalogue.known(runId(1))?.failure?.message).toContain('1 of 4');
    await ledger.clearFailure();
    await later(catalogue, 30_000);
    expect(catalogue.known(runId(1))).toMatchObject({ state: 'running', failure: null });
  });

  it('is noticed at once where an event tells of it', async () => {
    await runs.add(1, 'running');
    const catalogue = await read();
    await runs.finish(1);
    await catalogue.tick();
    expect(catalogue.known(runId(1))?.state).toBe('running');
    catalogue.touch(runId(1));
    await catalogue.tick();
    expect(catalogue.known(runId(1))?.state).toBe('done');
  });

  it('is noticed of a run whose id sorts before the newest: its submitter has a clock that is behind', async () => {
    await runs.add(5, 'running');
    const catalogue = await read();
    await runs.add(3, 'running');
    await runs.add(4, 'running');
    catalogue.touch(runId(3));
    await catalogue.tick();
    expect(catalogue.list(ALL).runs.map(({ run }) => run)).toEqual([runId(5), runId(3)]);
    await later(catalogue, 60_000);
    expect(catalogue.list(ALL).runs.map(({ run }) => run)).toEqual([5, 4, 3].map(runId));
  });

  it('of a run in no index costs one look in a while, however many events tell of it', async () => {
    await runs.add(5, 'done');
    const catalogue = await read();
    const { calls } = runs.stores;
    const before = calls.get;
    for (let event = 0; event < 10; event += 1) {
      catalogue.touch(runId(99));
      await catalogue.tick();
    }
    expect(calls.get - before).toBe(1);
    await runs.index.add(entryOf(99));
    runs.nowMs += 30_000;
    catalogue.touch(runId(99));
    await catalogue.tick();
    expect(catalogue.known(runId(99))).not.toBeNull();
  });

  it('shows in the run that a generation belongs to', async () => {
    await runs.add(1, 'done');
    const nestedOut = `${outOf(1)}generations/0001/`;
    await runs.index.add(entryOf(2, { out: nestedOut }));
    const nested = new RunLedger(runs.stores.resolver.open(nestedOut));
    await nested.createRun(runOf(2));
    const catalogue = await read();
    expect(catalogue.known(runId(1))?.overview().errors).toBe(3);
    await runs.ledger(1).createGeneration({
      schema: 'imagemill.generation/1',
      run: runId(1),
      generation: 1,
      nested: runId(2),
      directory: 'generations/0001/',
      items: 3,
      labelled: 2,
      errors: 1,
      errorsByCode: { IMAGE_EMPTY: 1 },
      finishedAt: '2026-01-02T05:00:00.000Z',
    });
    await nested.cancel(runId(2), new Date());
    await later(catalogue, 5_000);
    await catalogue.tick();
    expect(catalogue.known(runId(1))?.overview().errors).toBe(1);
  });

  it('never shows one run under the name of another that was there before', async () => {
    await runs.add(1, 'gone');
    await runs.ledger(1).createRun(runOf(2));
    const catalogue = await read();
    expect(catalogue.known(runId(1))?.state).toBe('unreadable');
    await expect(catalogue.known(runId(1))?.document()).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });
});

describe('when the store does not answer', () => {
  const away = () => {
    throw new ImagemillError('STORE_UNREACHABLE', 'expected an answer, got none');
  };

  it('a run keeps the state it had, and is logged once', async () => {
    await runs.add(1, 'running');
    const catalogue = await read();
    runs.stores.fail = (key) => (key.includes('memory://runs/') ? away() : undefined);
    await later(catalogue, 5_000);
    await later(catalogue, 5_000);
    expect(catalogue.known(runId(1))?.state).toBe('running');
    expect(runs.log.lines.filter(({ msg }) => msg === 'a run cannot be read')).toHaveLength(1);
    runs.stores.fail = null;
    await runs.finish(1);
    await later(catalogue, 5_000);
    expect(catalogue.known(runId(1))).toMatchObject({ state: 'done', fault: null });
  });

  it('a round without the index fails by itself', async () => {
    await runs.add(1, 'running');
    const catalogue = await read();
    runs.stores.fail = away;
    await later(catalogue, 2_000);
    expect(runs.log.lines.at(-1)?.['msg']).toBe('the runs could not be read');
    expect(catalogue.list(ALL).runs).toHaveLength(1);
  });
});

describe('an entry or a ledger that is damaged', () => {
  it('hides itself, and no other', async () => {
    await runs.add(1, 'running');
    await runs.add(2, 'running');
    await runs.add(3, 'running');
    const home = runs.stores.resolver.open('memory://home/');
    await home.put(`runs/${runId(1)}.json`, new TextEncoder().encode('{'));
    await home.put('runs/a page of text.txt', new TextEncoder().encode('x'));
    await runs.ledger(2).store.put(ledgerKeys.run, new TextEncoder().encode('null'));
    const { runs: shown } = (await read()).list(ALL);
    expect(shown.map(({ run, state }) => [run, state])).toEqual([
      [runId(3), 'running'],
      [runId(2), 'unreadable'],
    ]);
  });
});

describe('more runs than are listed', () => {
  it('the oldest are found by their id', async () => {
    for (let number = 0; number < 12; number += 1) await runs.add(number, 'done');
    const catalogue = await read({ listedMax: 10 });
    expect(catalogue.list(ALL).matching).toBe(10);
    await runs.add(12, 'done');
    await later(catalogue, 2_000);
    expect(catalogue.list(ALL).runs.map(({ run }) => run)).toEqual(
      Array.from({ length: 10 }, (_, at) => runId(12 - at)),
    );
    expect(runs.forgotten).toEqual([runId(2)]);
    const old = await catalogue.get(runId(0));
    expect(await catalogue.get(runId(0))).toBe(old);
    expect(catalogue.list(ALL).matching).toBe(10);
    await expect(catalogue.get(runId(77))).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
  });
});

it('a run with very many commits that nobody has read does not hold up the others', async () => {
  const ledger = await runs.add(1, 'running');
  await ledger.store.delete(ledgerKeys.plan);
  await ledger.createPlan({ schema: 'imagemill.plan/1', run: runId(1), shards: 3_000, items: 30_000 });
  for (let shard = 0; shard < 2_500; shard += 1) await ledger.commit(commitOf(runId(1), shard));
  await runs.add(2, 'running');
  const catalogue = runs.catalogue();
  const { calls } = runs.stores;
  await catalogue.tick();
  expect(calls.get).toBeLessThan(1_200);
  expect(catalogue.known(runId(2))?.state).toBe('running');
  await catalogue.tick();
  await catalogue.tick();
  expect(catalogue.known(runId(1))?.overview()).toMatchObject({ items: 25_000, total: 30_000 });
});
