import { beforeEach, describe, expect, it } from 'vitest';
import type { RunCatalogue } from '../../../src/dashboard/catalogue/run-catalogue.ts';
import { LiveHub } from '../../../src/dashboard/live/live-hub.ts';
import { RunAnnouncer } from '../../../src/dashboard/live/run-announcer.ts';
import { commitOf, FakeRuns, runId } from '../support.ts';

let runs: FakeRuns;
let catalogue: RunCatalogue;
let announcer: RunAnnouncer;
let hub: LiveHub;
let heard: string[];

beforeEach(() => {
  runs = new FakeRuns();
  hub = new LiveHub();
  announcer = new RunAnnouncer(hub);
  heard = [];
  hub.listen(({ type }) => heard.push(type));
  catalogue = runs.catalogue({ onChange: (run) => announcer.announce(run) });
});

async function told(afterMs: number): Promise<string[]> {
  heard.length = 0;
  runs.nowMs += afterMs;
  await catalogue.tick();
  hub.flush();
  return [...heard];
}

describe('an announcer', () => {
  it('tells of a stopped run only where something has changed', async () => {
    await runs.add(1, 'failed');
    expect(await told(0)).toEqual(['run', 'committed']);
    expect(await told(60_000)).toEqual([]);
    await runs.ledger(1).clearFailure();
    expect(await told(60_000)).toEqual(['run', 'committed']);
  });

  it('tells of a live run whenever it is read, and of commits when there are new ones', async () => {
    const ledger = await runs.add(1, 'running');
    expect(await told(0)).toEqual(['run', 'committed']);
    expect(await told(5_000)).toEqual(['run']);
    await ledger.commit(commitOf(runId(1), 0));
    expect(await told(30_000)).toEqual(['run', 'committed']);
    await runs.finish(1);
    expect(await told(5_000)).toEqual(['run', 'committed']);
  });

  it('begins anew with a run that it was told to forget', async () => {
    await runs.add(1, 'failed');
    await told(0);
    announcer.forget(runId(1));
    expect(await told(60_000)).toEqual(['run', 'committed']);
  });
});
