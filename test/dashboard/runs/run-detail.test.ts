import { beforeEach, describe, expect, it } from 'vitest';
import { runDetailSchema, shardMapSchema } from '../../../src/contract/api/runs.ts';
import { runDetail, shardMap } from '../../../src/dashboard/runs/run-detail.ts';
import { commitOf, entryOf, FakeRuns, outOf, runId } from '../support.ts';

let runs: FakeRuns;
beforeEach(() => {
  runs = new FakeRuns();
});

async function watched(number = 1) {
  const catalogue = runs.catalogue();
  return { catalogue, run: await catalogue.get(runId(number)) };
}

describe('the detail of a run', () => {
  it('of every state keeps the form of the contract, and says what may be done', async () => {
    const actions = {
      planning: ['cancel', 'resume'],
      running: ['cancel', 'resume'],
      failed: ['resume', 'cancel'],
      cancelled: [],
      done: ['retry-failed'],
      gone: [],
    } as const;
    for (const [number, state] of (Object.keys(actions) as (keyof typeof actions)[]).entries()) {
      await runs.add(number, state);
      const detail = await runDetail((await watched(number)).run);
      expect(runDetailSchema.parse(detail)).toEqual(detail);
      expect(detail.actions, state).toEqual(actions[state]);
      expect(detail.document === null, state).toBe(state === 'gone');
      expect(detail.failure?.code, state).toBe(state === 'failed' ? 'SHARDS_FAILED' : undefined);
    }
  });

  it('counts commits of a run that stopped short', async () => {
    const ledger = await runs.add(1, 'failed');
    for (const shard of [0, 1]) await ledger.commit(commitOf(runId(1), shard, shard));
    const detail = await runDetail((await watched()).run);
    expect(detail).toMatchObject({
      overview: { state: 'failed', items: 20, errors: 1, total: 40 },
      shards: { planned: 4, committed: 2, planComplete: true },
      errorsByCode: { IMAGE_EMPTY: 1 },
      stages: { fetch: 2 },
      model: { architecture: 'alexnet-small' },
    });
    expect(detail.document).not.toHaveProperty('model');
  });

  it('does not offer to retry the errors of a generation: they are those of its run', async () => {
    await runs.add(1, 'done');
    const out = `${outOf(1)}generations/0001/`;
    await runs.index.add(entryOf(2, { out }));
    const nested = runs.stores.resolver.open(out);
    const own = runs.stores.resolver.open(outOf(1));
    const text = new TextDecoder().decode(await own.get('run.json')).replace(runId(1), runId(2));
    await nested.put('run.json', new TextEncoder().encode(text));
    await nested.put('summary.json', await own.get('summary.json'));
    const detail = await runDetail((await watched(2)).run);
    expect([detail.overview.state, detail.actions]).toEqual(['done', []]);
  });
});

describe('the map of shards', () => {
  it('has one character per shard: waiting, in progress, committed, with errors, failed', async () => {
    const ledger = await runs.add(1, 'running');
    await ledger.commit(commitOf(runId(1), 0));
    await ledger.commit(commitOf(runId(1), 1, 2));
    const { run } = await watched();
    await run.refreshWhole();
    run.noteShard(2, { items: 5, errors: 0 });
    run.noteShardEnd(3, 'failed');
    const map = await shardMap(run);
    expect(shardMapSchema.parse(map)).toEqual({
      run: runId(1),
      planned: 4,
      planComplete: true,
      cells: '=!>x',
    });
    run.noteShardEnd(2, 'completed');
    expect((await shardMap(run)).cells).toBe('=!.x');
    await ledger.commit(commitOf(runId(1), 2));
    run.noteShardEnd(2, 'completed');
    expect((await shardMap(run)).cells).toBe('=!=x');
  });

  it('of a failed run shows what failed, also to a dashboard that was not there; resumed, it waits', async () => {
    const ledger = await runs.add(1, 'failed');
    const { catalogue, run } = await watched();
    expect((await shardMap(run)).cells).toBe('..x.');
    await ledger.clearFailure();
    catalogue.touch(runId(1));
    await catalogue.tick();
    expect((await shardMap(run)).cells).toBe('....');
  });

  it('of ten thousand shards is there at once, and grows as long as the plan is not complete', async () => {
    await runs.add(1, 'planning');
    const { run } = await watched();
    run.planned = { shards: 10_000, items: 100_000, complete: false };
    const map = await shardMap(run);
    expect([map.planned, map.planComplete, map.cells.length]).toEqual([10_000, false, 10_000]);
  });

  it('shows a million shards at most, whatever a plan says', async () => {
    await runs.add(1, 'planning');
    const { run } = await watched();
    run.planned = { shards: 2 ** 53 - 1, items: 1, complete: false };
    expect((await shardMap(run)).cells).toHaveLength(1_000_000);
  });
});

it('a run with very many commits is shown with what is known so far', async () => {
  const ledger = await runs.add(1, 'running');
  await ledger.store.delete('plan.json');
  await ledger.createPlan({ schema: 'imagemill.plan/1', run: runId(1), shards: 3_000, items: 30_000 });
  for (let shard = 0; shard < 3_000; shard += 1) await ledger.commit(commitOf(runId(1), shard));
  const { run } = await watched();
  const startedAtMs = performance.now();
  await runDetail(run);
  expect(performance.now() - startedAtMs).toBeLessThan(2_000);
  await run.refreshWhole();
  expect((await runDetail(run)).shards).toEqual({ planned: 3_000, committed: 3_000, planComplete: true });
});
