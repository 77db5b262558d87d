import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Summary } from '../../src/contract/ledger.ts';
import type { TrainSummary } from '../../src/contract/training.ts';
import { isLost, type WorkerReport } from '../../src/contract/worker-report.ts';
import { WorkerRegistry } from '../../src/queue/worker-registry.ts';
import { makePhotos } from '../support/broken-photos.ts';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { scrape } from '../support/metrics.ts';
import { freePort, startRedis, type TestRedis } from '../support/redis.ts';
import { createTrainingWorkspace, epochCommits, trainArgs, until } from '../support/training.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const PHOTOS = 30;
const BROKEN = 4;
const LOST_AFTER_MS = 15_000;
const MIB = 1024 * 1024;

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
let registry: WorkerRegistry;
const started: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(1)]);
  env = { ...workspace.env, REDIS_URL: redis.url };
  registry = new WorkerRegistry({ redisUrl: redis.url, prefix: 'imagemill' });
});

afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await registry.close();
  await redis.stop();
  workspace.remove();
});

interface Scraped {
  readonly worker: CliProcess;
  readonly url: string;
  readonly metrics: () => Promise<Record<string, number>>;
  readonly report: () => Promise<WorkerReport | undefined>;
}

async function addWorker(...args: string[]): Promise<Scraped> {
  return addWorkerWith({}, ...args);
}

async function addWorkerWith(variables: Record<string, string>, ...args: string[]): Promise<Scraped> {
  const port = await freePort();
  const worker = await startWorker({ ...env, ...variables }, '--metrics-port', String(port), ...args);
  started.push(worker);
  const url = `http://127.0.0.1:${port}`;
  const name = /^worker (\S+) serves/m.exec(worker.stderr())?.[1] ?? '';
  const report = async () => (await registry.list()).find((found) => found.name === name);
  return { worker, url, metrics: () => scrape(`${url}/metrics`), report };
}

const summaryOf = (out: string): unknown => JSON.parse(readFileSync(join(out, 'summary.json'), 'utf8'));

describe('a worker with a port for metrics', { timeout: 120_000 }, () => {
  it('has figures that agree exactly with the summary of the run that it did', async () => {
    const photos = await makePhotos(workspace, 'photos', PHOTOS, PHOTOS - BROKEN);
    const out = join(workspace.folder, 'labels');
    const { metrics, report } = await addWorker();
    const args = ['classify', photos, '--model', workspace.model, '--out', out, '--json'];
    const run = await runCli([...args, '--shard-size', '8', '--batch-size', '5'], env);
    expect(run.code).toBe(3);
    const summary = summaryOf(out) as Summary;
    expect(summary).toMatchObject({ items: PHOTOS, errors: BROKEN, shards: 4 });
    const found = await metrics();
    expect(found).toMatchObject({
      'imagemill_images_total{kind="classify",outcome="labelled"}': summary.labelled,
      'imagemill_images_total{kind="classify",outcome="error"}': summary.errors,
      'imagemill_shards_total{kind="classify",outcome="committed"}': summary.shards,
      'imagemill_bytes_read_total{kind="classify"}': summary.bytesRead,
      // Of 8, 8, 8 and 6 images in batches of 5.
      'imagemill_batches_total{kind="classify"}': 8,
      'imagemill_job_attempts_total{queue="classify",outcome="completed"}': summary.shards,
      'imagemill_job_attempts_total{queue="plan",outcome="completed"}': 1,
      'imagemill_job_attempts_total{queue="classify",outcome="failed"}': 0,
      'imagemill_job_seconds_count{queue="classify"}': summary.shards,
      'imagemill_compute_restarts_total{reason="died"}': 0,
    });
    for (const [code, count] of Object.entries(summary.errorsByCode)) {
      expect(found[`imagemill_item_errors_total{code="${code}"}`]).toBe(count);
    }
    for (const stage of ['fetch', 'decode', 'compute', 'write'] as const) {
      expect(found[`imagemill_stage_seconds_total{kind="classify",stage="${stage}"}`]).toBeCloseTo(
        summary.stages[stage],
        6,
      );
    }
    const idle = await until(async () => {
      const told = await report();
      return told?.state === 'idle' && told.totals.shards === summary.shards ? told : null;
    });
    expect(idle.totals).toEqual({ images: summary.labelled, errors: summary.errors, shards: 4, epochs: 0 });
    expect(idle).toMatchObject({ device: 'cpu', engine: 'onnxruntime', gpu: null, jobs: [] });
    expect(idle.compute?.residentBytes).toBeGreaterThan(10_000_000);
    expect(idle.control.residentBytes).toBeGreaterThan(10_000_000);
    expect(found['imagemill_process_resident_bytes{process="compute"}']).toBeGreaterThan(10_000_000);
  });

  it('counts nothing of a run that is done already', async () => {
    const out = join(workspace.folder, 'labels');
    const { metrics } = await addWorker();
    expect((await runCli(['resume', out, '--json'], env)).code).toBe(3);
    expect(await metrics()).toMatchObject({
      'imagemill_images_total{kind="classify",outcome="labelled"}': 0,
      'imagemill_shards_total{kind="classify",outcome="committed"}': 0,
    });
  });

  it('counts images, steps and epochs of a training run, and shows how far it is', async () => {
    const training = await createTrainingWorkspace();
    try {
      const out = join(training.folder, 'model');
      const { metrics, report } = await addWorker();
      const run = startCli(trainArgs(training.dataset, out), { ...training.env, REDIS_URL: redis.url });
      started.push(run);
      const working = await until(async () => {
        const told = await report();
        return told?.jobs.some(({ itemsDone }) => itemsDone > 0) === true ? told : null;
      });
      expect(working.state).toBe('working');
      expect(working.jobs).toEqual([
        expect.objectContaining({ queue: 'train', shard: null, items: 25 * 16 }),
      ]);
      expect((await run.result).code).toBe(0);
      const summary = summaryOf(out) as TrainSummary;
      const commits = epochCommits(out);
      const seconds = commits.reduce((sum, commit) => sum + commit.seconds, 0);
      const found = await metrics();
      expect(found).toMatchObject({
        'imagemill_images_total{kind="train",outcome="trained"}': summary.items,
        imagemill_train_steps_total: commits.reduce((sum, { steps }) => sum + steps, 0),
        'imagemill_epochs_total{outcome="committed"}': summary.epochs,
        'imagemill_epochs_total{outcome="lost_race"}': 0,
        'imagemill_job_attempts_total{queue="train",outcome="completed"}': summary.epochs,
      });
      const stage = (name: string) =>
        found[`imagemill_stage_seconds_total{kind="train",stage="${name}"}`] ?? 0;
      expect(stage('compute') + stage('data_wait')).toBeCloseTo(seconds, 3);
      expect(found['imagemill_train_loss']).toBeGreaterThan(0);
      const told = await until(async () => {
        const now = await report();
        return now?.totals.epochs === summary.epochs ? now : null;
      });
      expect(told.totals).toEqual({ images: summary.items, errors: 0, shards: 0, epochs: summary.epochs });
    } finally {
      training.remove();
    }
  });

  it('tells how busy its own device is, by the driver', async () => {
    const bin = join(workspace.folder, 'bin');
    mkdirSync(bin);
    const lines = ['0, GPU-aa, NVIDIA L4, 99, 20000, 23034', '1, GPU-bb, NVIDIA L4, 42, 512, 23034'];
    const script = `#!/bin/sh\n${lines.map((line) => `echo '${line}'`).join('\n')}\n`;
    writeFileSync(join(bin, 'nvidia-smi'), script, { mode: 0o755 });
    const path = `${bin}:${process.env['PATH'] ?? ''}`;
    const { metrics, report } = await addWorkerWith({ PATH: path }, '--device', 'cuda:1', '--queues', 'plan');
    const told = await until(async () => ((await report())?.gpu ? report() : null));
    expect(told).toMatchObject({
      device: 'cuda:1',
      gpu: {
        name: 'NVIDIA L4',
        utilisation: 0.42,
        memoryUsedBytes: 512 * MIB,
        memoryTotalBytes: 23_034 * MIB,
      },
    });
    expect(await metrics()).toMatchObject({
      imagemill_device_utilisation_ratio: 0.42,
      'imagemill_device_memory_bytes{state="used"}': 512 * MIB,
      'imagemill_device_memory_bytes{state="total"}': 23_034 * MIB,
    });
  });

  it('counts a compute process that dies', async () => {
    const { metrics, report } = await addWorker('--queues', 'classify');
    const told = await until(async () => (await report())?.compute);
    process.kill(told.pid, 'SIGKILL');
    await until(async () => (await metrics())['imagemill_compute_restarts_total{reason="died"}'] === 1);
    expect(await metrics()).not.toHaveProperty('imagemill_process_resident_bytes{process="compute"}');
    expect(await until(async () => (await report())?.compute === null)).toBe(true);
  });

  it('goes on without Redis: metrics are served, and health is not good until it is back', async () => {
    const { worker, url, metrics, report } = await addWorker('--queues', 'plan');
    const health = async () => (await fetch(`${url}/healthz`)).status;
    expect(await health()).toBe(200);
    await redis.crash();
    expect(await health()).toBe(503);
    expect(await metrics()).toHaveProperty('imagemill_train_steps_total', 0);
    await redis.restart();
    await until(async () => (await health()) === 200);
    await until(async () => (await report().catch(() => undefined))?.state === 'idle');
    expect(worker.child.exitCode).toBeNull();
  });

  it('is lost 15 s after SIGKILL, and gone at once after SIGTERM', async () => {
    const [killed, stopped] = [await addWorker('--queues', 'plan'), await addWorker('--queues', 'plan')];
    await until(async () => (await killed.report())?.state === 'idle');
    await until(async () => (await stopped.report())?.state === 'idle');
    stopped.worker.child.kill('SIGTERM');
    expect((await stopped.worker.result).code).toBe(0);
    expect(await stopped.report()).toBeUndefined();
    killed.worker.child.kill('SIGKILL');
    await killed.worker.result;
    const last = await killed.report();
    expect(last === undefined || isLost(last, Date.now())).toBe(false);
    await expect
      .poll(
        async () => {
          const found = await killed.report();
          return found !== undefined && isLost(found, Date.now());
        },
        { timeout: LOST_AFTER_MS + 5_000, interval: 500 },
      )
      .toBe(true);
  });

  it('refuses a port that is taken with one line, before it takes any work', async () => {
    const { url } = await addWorker('--queues', 'plan');
    const { code, stderr, stdout } = await runCli(['worker', '--metrics-port', new URL(url).port], env);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^imagemill: --metrics-port: .*EADDRINUSE.* \[USAGE\]\n$/);
  });

  it('has no port without the option', async () => {
    const worker = await startWorker(env, '--queues', 'plan');
    started.push(worker);
    expect(worker.stderr()).not.toContain('metrics');
    expect((await runCli(['worker', '--metrics-port', '0'], env)).stderr).toMatch(
      /--metrics-port.*1 to 65535/,
    );
  });
});
