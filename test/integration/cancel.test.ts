import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Queues } from '../../src/queue/queues.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { runCli, startCli, startWorker } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';
import { useProxiedS3 } from '../support/proxied-s3.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { rgwMissing } from '../support/rgw.ts';
import { until } from '../support/training.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

let redis: TestRedis;
let workspace: Workspace;
beforeAll(async () => {
  redis = await startRedis();
  workspace = await createWorkspace(2);
});
afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

const canRun = rgwMissing() === null;

describe.skipIf(!canRun)(titleNeeding('radosgw', canRun, 'cancel, in the middle of a shard'), () => {
  const s3 = useProxiedS3();

  it('stops within a batch, leaves no commit, and ends the command that waits for the run', async () => {
    const { rgw } = s3;
    const proxy = s3.proxy();
    const uri = await rgw.freshUri();
    const store = rgw.resolver().open(uri);
    await store.put('0.png', await tinyPng(0));
    // One object, named a thousand times: at the pace of this store a shard takes a quarter of a minute.
    const manifest = join(workspace.folder, 'manifest.csv');
    writeFileSync(manifest, `uri\n${`${store.uriOf('0.png')}\n`.repeat(1_000)}`);
    let reads = 0;
    proxy.onRequest = ({ method, url }) => {
      if (method === 'GET' && url.includes('0.png')) reads += 1;
    };
    proxy.latencyMs = 30;
    const env = {
      ...workspace.env,
      REDIS_URL: redis.url,
      ...s3.env(),
      IMAGEMILL_FETCH_CONCURRENCY: '2',
    };
    const worker = await startWorker(env);
    const out = join(workspace.folder, 'cancelled');
    const classify = startCli(
      ['classify', manifest, '--model', workspace.model, '--out', out, '--batch-size', '8', '--json'],
      env,
    );
    await until(() => reads > 50);
    const cancelled = await runCli(['cancel', out], env);
    expect(cancelled.code).toBe(0);
    // The tombstone is looked for once a second; a batch is eight images.
    await sleep(1_500);
    const readsThen = reads;
    await sleep(1_000);
    expect([reads - readsThen, readsThen < 500]).toEqual([0, true]);

    const { code, stdout } = await classify.result;
    expect([code, JSON.parse(stdout)]).toEqual([
      1,
      expect.objectContaining({ state: 'cancelled', items: 0 }),
    ]);
    const ledger = new RunLedger(rgw.resolver().open(out));
    expect([await ledger.findCommit(0), await ledger.findSummary()]).toEqual([null, null]);
    const queues = new Queues({ redisUrl: redis.url, prefix: 'imagemill' });
    for (const name of ['plan', 'classify'] as const) {
      await until(
        async () => (await queues.get(name).getJobCountByTypes('active', 'waiting', 'delayed')) === 0,
      );
    }
    await queues.close();
    worker.child.kill('SIGTERM');
    await worker.result;
  }, 60_000);
});

describe('cancel, before a hundred thousand waiting shards', () => {
  const SHARDS = 100_000;
  const LONGEST_STALL_MS = 1_000;

  it('takes them all from the queue without stalling Redis', async () => {
    const env = { ...workspace.env, REDIS_URL: redis.url, IMAGEMILL_QUEUE_PREFIX: 'many' };
    const out = join(workspace.folder, 'many');
    const submitted = await runCli(
      ['classify', workspace.images, '--model', workspace.model, '--out', out, '--no-wait', '--json'],
      env,
    );
    const { run } = JSON.parse(submitted.stdout) as { run: string };
    const queues = new Queues({ redisUrl: redis.url, prefix: 'many' });
    const [plan] = await queues.get('plan').getJobs();
    const jobs = Array.from({ length: SHARDS }, (_, shard) => ({
      run,
      out: `file://${out}/`,
      shard,
      items: 1,
    }));
    await queues.addShardJobs(
      'classify',
      jobs,
      { id: plan?.id ?? '', queue: plan?.queueQualifiedName ?? '' },
      { generation: 0, priority: 0, attempts: 5 },
    );
    expect(await queues.get('classify').getWaitingCount()).toBe(SHARDS);

    const pings = watchLatency(redis.url);
    expect((await runCli(['cancel', out], env)).code).toBe(0);
    const worker = await startWorker(env);
    await until(async () => {
      const left = await queues
        .get('classify')
        .getJobCountByTypes('active', 'waiting', 'delayed', 'prioritized');
      return left === 0;
    }, 180_000);
    const longestMs = await pings.stop();
    expect(longestMs).toBeLessThan(LONGEST_STALL_MS);
    await until(async () => (await plan?.getState()) === 'completed');
    expect(await queues.get('classify').getFailedCount()).toBe(0);
    await queues.close();
    worker.child.kill('SIGTERM');
    await worker.result;
  }, 300_000);
});

/** Asks Redis for a sign of life every few milliseconds. @returns how long it ever took */
function watchLatency(url: string): { stop(): Promise<number> } {
  const redis = new Redis(url);
  let longestMs = 0;
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const askedAt = performance.now();
      await redis.ping();
      longestMs = Math.max(longestMs, performance.now() - askedAt);
      await sleep(5);
    }
  })();
  return {
    stop: async () => {
      stop.abort();
      await watching;
      redis.disconnect();
      return longestMs;
    },
  };
}
