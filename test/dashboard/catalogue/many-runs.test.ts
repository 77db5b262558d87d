import { beforeEach, describe, expect, it } from 'vitest';
import type { RunCatalogue } from '../../../src/dashboard/catalogue/run-catalogue.ts';
import { FakeRuns, runId } from '../support.ts';

const ALL = { limit: 50 };
let runs: FakeRuns;

beforeEach(() => {
  runs = new FakeRuns();
});

async function later(catalogue: RunCatalogue, ms: number): Promise<void> {
  runs.nowMs += ms;
  await catalogue.tick();
}

describe('ten thousand runs', { timeout: 60_000 }, () => {
  const COUNT = 10_000;

  it('are listed at once, read in bounded rounds, and cost nothing when they are done', async () => {
    for (let number = 0; number < COUNT; number += 1) {
      await runs.add(number, number % 10 === 0 ? 'failed' : number === 5 ? 'running' : 'done');
    }
    const catalogue = runs.catalogue();
    await catalogue.readIndex();
    expect(catalogue.list(ALL)).toMatchObject({ matching: COUNT, pending: COUNT });
    const { calls } = runs.stores;
    let [rounds, most] = [0, 0];
    while (catalogue.list(ALL).pending > 0) {
      const before = calls.get + calls.head;
      await catalogue.tick();
      most = Math.max(most, calls.get + calls.head - before);
      rounds += 1;
    }
    expect(rounds).toBe(Math.ceil(COUNT / 256));
    expect(most).toBeLessThan(256 * 12);
    // The newest are known first.
    const { runs: page } = catalogue.list(ALL);
    expect(page[0]?.run).toBe(runId(COUNT - 1));

    const startedAtMs = performance.now();
    for (let page = 0; page < 20; page += 1) catalogue.list({ ...ALL, text: 'source', state: 'failed' });
    expect((performance.now() - startedAtMs) / 20).toBeLessThan(100);

    // Nothing changes: only the failed ones and the live one are looked at, less and less often.
    const before = calls.get + calls.head + calls.list;
    for (let minute = 0; minute < 60; minute += 1) await later(catalogue, 60_000);
    const reads = calls.get + calls.head + calls.list - before;
    expect(reads).toBeLessThan(60 * 256 * 8);
    // Its turn comes for the live run all the same.
    await runs.finish(5);
    await later(catalogue, 5_000);
    expect(catalogue.known(runId(5))?.state).toBe('done');
  });

  it('that change all at once are read in bounded rounds, and others get their turn', async () => {
    for (let number = 0; number < 1_000; number += 1) await runs.add(number, 'done');
    await runs.add(5_000, 'failed');
    const catalogue = runs.catalogue();
    await catalogue.tick();
    for (let round = 0; round < 3; round += 1) await catalogue.tick();
    runs.changed.length = 0;
    for (let number = 0; number < 1_000; number += 1) catalogue.touch(runId(number));
    await runs.ledger(5_000).clearFailure();
    await later(catalogue, 600_000);
    expect(runs.changed.length).toBeLessThanOrEqual(256);
    expect(catalogue.known(runId(5_000))?.state).toBe('running');
    for (let round = 0; round < 5; round += 1) await catalogue.tick();
    expect(new Set(runs.changed.map(({ entry }) => entry.run)).size).toBe(1_001);
  });
});
