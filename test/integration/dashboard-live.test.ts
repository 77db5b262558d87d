import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ImagemillClient } from '../../src/client/index.ts';
import { WATCHERS_MAX } from '../../src/dashboard/api/events-route.ts';
import { counted, type Counted } from '../dashboard/support.ts';
import { startWorker, type CliProcess } from '../support/cli.ts';
import { localResolver, startTestDashboard, type TestDashboard } from '../support/dashboard.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { Watcher } from '../support/watching.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 400;
const WATCHERS = 100;

let redis: TestRedis;
let workspace: Workspace;
let worker: CliProcess;
let probe: Redis;
let test: TestDashboard;
let stores: Counted;
let outs = 0;

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(IMAGES)]);
  probe = new Redis(redis.url);
  worker = await startWorker({ ...workspace.env, REDIS_URL: redis.url });
  await open();
}, 120_000);

afterAll(async () => {
  worker.child.kill('SIGKILL');
  await test.close();
  probe.disconnect();
  await redis.stop();
  workspace.remove();
});

const watchers: Watcher[] = [];
afterEach(() => Promise.all(watchers.splice(0).map((watcher) => watcher.stop())));

async function open(port = 0): Promise<void> {
  stores = counted(localResolver());
  test = await startTestDashboard({
    redisUrl: redis.url,
    home: join(workspace.folder, 'home'),
    resolver: stores.resolver,
    port,
  });
}

const client = () => new ImagemillClient({ baseUrl: test.address });

function watch(options: { run?: string; lastEventId?: string } = {}): Watcher {
  const watcher = new Watcher(client(), options);
  watchers.push(watcher);
  return watcher;
}

function submit(): Promise<{ run: string }> {
  outs += 1;
  const out = join(workspace.folder, `labels-${outs}`);
  return client().submit({
    kind: 'classify',
    source: workspace.images,
    model: workspace.model,
    out,
    shardSize: 20,
  });
}

/** Calls of every command since the server began. */
async function redisCalls(): Promise<number> {
  const stats = await probe.info('commandstats');
  return [...stats.matchAll(/:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

/** What a run of the same work costs, start to end and a while after. */
async function costOfRun(): Promise<{ redis: number; reads: number }> {
  const before = { redis: await redisCalls(), ...stores.calls };
  const startedAtMs = performance.now();
  const { run } = await submit();
  await client().wait(run);
  // Idle time has a price as well: both are measured for as long.
  await sleep(Math.max(0, 12_000 - (performance.now() - startedAtMs)));
  const { get, head, list } = stores.calls;
  return {
    redis: (await redisCalls()) - before.redis,
    reads: get + head + list - before.get - before.head - before.list,
  };
}

describe('events', { timeout: 120_000 }, () => {
  it('that were missed while a connection was down are told on its return', async () => {
    const whole = watch();
    const first = watch();
    await submit();
    await expect.poll(() => first.seen.length, { timeout: 20_000 }).toBeGreaterThan(0);
    await first.stop();
    const last = first.seen.at(-1)?.id ?? '';
    const { run } = await submit();
    await client().wait(run);
    const second = watch({ lastEventId: last });
    const newestOf = ({ seen }: Watcher) =>
      seen.findLast((event) => event.type === 'run' && event.run.run === run);
    await expect.poll(() => newestOf(second)).toMatchObject({ run: { state: 'done' } });
    expect(second.seen.some(({ type }) => type === 'reset')).toBe(false);
    expect(newestOf(whole)).toMatchObject({ run: { state: 'done' } });
  });

  it('of one run are told to who asks for it, with its state at once', async () => {
    const { run } = await submit();
    await client().wait(run);
    await submit();
    const one = watch({ run });
    await expect.poll(() => one.seen[0]).toMatchObject({ type: 'run', run: { run, state: 'done' } });
    await sleep(2_000);
    const others = one.seen.filter(
      (event) => event.type !== 'reset' && (event.type === 'run' ? event.run.run : event.run) !== run,
    );
    expect(others).toEqual([]);
  });

  it('begin anew with a dashboard that was restarted', async () => {
    const watcher = watch();
    await submit();
    await expect.poll(() => watcher.seen.length, { timeout: 20_000 }).toBeGreaterThan(0);
    const { port } = new URL(test.address);
    await test.close();
    await open(Number(port));
    await expect
      .poll(() => watcher.seen.some(({ type }) => type === 'reset'), { timeout: 20_000 })
      .toBe(true);
    const { run } = await submit();
    await expect
      .poll(() => watcher.seen.some((event) => event.type === 'run' && event.run.run === run), {
        timeout: 20_000,
      })
      .toBe(true);
  });

  it('cost Redis and the store the same for a hundred watchers as for one', async () => {
    watch();
    await costOfRun();
    const one = await costOfRun();
    for (let more = 1; more < WATCHERS; more += 1) watch();
    await expect.poll(() => test.hub.listeners).toBe(WATCHERS);
    const hundred = await costOfRun();
    expect(watchers.every(({ seen }) => seen.length > 0)).toBe(true);
    // What differs is chance: how often the worker and the timers of the queue happened to look.
    expect(hundred.redis).toBeLessThan(one.redis * 1.5);
    expect(hundred.reads).toBeLessThan(one.reads * 1.5 + 50);
  });

  it('leave nothing behind, and are bounded in number', async () => {
    const { hub } = test;
    await expect.poll(() => hub.listeners).toBe(0);
    const stops = Array.from({ length: WATCHERS_MAX }, () => hub.listen(() => {}).stop);
    const refused = await fetch(`${test.address}/api/v1/events`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await refused.json()).toMatchObject({ code: 'OVERLOADED', retryable: true });
    for (const stop of stops) stop();
    const head = await fetch(`${test.address}/api/v1/events`, { method: 'HEAD' });
    expect(head.status).toBe(404);
    expect(hub.listeners).toBe(0);
  });
});
