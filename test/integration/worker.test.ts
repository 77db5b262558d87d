import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { QUEUES } from '../../src/contract/queues.ts';
import { Queues } from '../../src/queue/queues.ts';
import { runCli, startCli, startWorker, type CliProcess, type CliResult } from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 3_000;

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
let queues: Queues;
let runs = 0;
const started: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(IMAGES)]);
  env = { ...workspace.env, REDIS_URL: redis.url, IMAGEMILL_LOCK_MS: '3000' };
  queues = new Queues({ redisUrl: redis.url, prefix: 'imagemill' });
}, 120_000);

afterEach(() => {
  for (const { child } of started) child.kill('SIGKILL');
  started.length = 0;
});

afterAll(async () => {
  await queues.close();
  await redis.stop();
  workspace.remove();
});

async function addWorker(extra: Record<string, string> = {}): Promise<CliProcess> {
  const worker = await startWorker({ ...env, ...extra });
  started.push(worker);
  return worker;
}

const classifyArgs = (out: string) =>
  ['classify', workspace.images, '--model', workspace.model, '--out', out].concat([
    '--json',
    '--shard-size',
    '1000',
  ]);

/** Submits a run of its own output; every run has enough work for something to happen in the middle of it. */
function classify(...more: string[]): { out: string; run: CliProcess } {
  const out = join(workspace.folder, `labels-${(runs += 1)}`);
  const run = startCli([...classifyArgs(out), ...more], env);
  started.push(run);
  return { out, run };
}

function expectComplete({ code, stdout, stderr }: CliResult): void {
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    state: 'done',
    items: IMAGES,
    labelled: IMAGES,
    errors: 0,
    shards: 3,
  });
}

/** The compute process below a worker. */
function computePid(worker: CliProcess): number {
  const pid = worker.child.pid ?? 0;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/);
  expect(children).toHaveLength(1);
  return Number(children[0]);
}

async function untilActive(): Promise<void> {
  while ((await queues.get(QUEUES.classify).getActiveCount()) === 0) await sleep(10);
  await sleep(300);
}

describe('a worker', { timeout: 180_000 }, () => {
  it('hands its shards back at SIGTERM, uses no attempt, and leaves no process behind', async () => {
    const first = await addWorker();
    const compute = computePid(first);
    const { out, run } = classify();
    await untilActive();
    first.child.kill('SIGTERM');
    const stopped = await first.result;
    expect(stopped.code).toBe(0);
    expect(existsSync(`/proc/${compute}`)).toBe(false);
    const waiting = await queues.get(QUEUES.classify).getJobs(['wait', 'prioritized', 'delayed']);
    expect(waiting.length).toBeGreaterThan(0);
    expect(waiting.map(({ attemptsMade }) => attemptsMade)).toEqual(waiting.map(() => 0));
    await addWorker();
    expectComplete(await run.result);
    expect(readdirSync(join(out, 'commits'))).toHaveLength(3);
  });

  it('kills a compute process that makes no progress, and the shard is tried again', async () => {
    const worker = await addWorker({ IMAGEMILL_WATCHDOG_MS: '2000', IMAGEMILL_LOG_LEVEL: 'error' });
    const { run } = classify();
    await untilActive();
    const hung = computePid(worker);
    process.kill(hung, 'SIGSTOP');
    expectComplete(await run.result);
    expect(existsSync(`/proc/${hung}`)).toBe(false);
    expect(worker.stderr()).toContain('made no progress and is killed');
  });

  it('replaces a compute process that dies, without losing its jobs', async () => {
    const worker = await addWorker();
    const { run } = classify();
    await untilActive();
    process.kill(computePid(worker), 'SIGKILL');
    expectComplete(await run.result);
  });

  it('takes over after SIGKILL within seconds, and the compute process of the dead worker ends', async () => {
    const victim = await addWorker();
    const compute = computePid(victim);
    const { run } = classify();
    await untilActive();
    victim.child.kill('SIGKILL');
    await addWorker();
    expectComplete(await run.result);
    expect(existsSync(`/proc/${compute}`)).toBe(false);
  });

  it('goes on after Redis lost everything: resume rebuilds the queue, and commits are not repeated', async () => {
    await addWorker();
    const { out, run } = classify('--no-wait');
    expect((await run.result).code).toBe(0);
    while (!existsSync(join(out, 'commits')) || readdirSync(join(out, 'commits')).length === 0)
      await sleep(20);
    execFileSync('redis-cli', ['-u', redis.url, 'FLUSHALL']);
    const committed = readdirSync(join(out, 'commits')).map((name) =>
      readFileSync(join(out, 'commits', name), 'utf8'),
    );
    expectComplete(await runCli(['resume', out, '--json'], env));
    const after = readdirSync(join(out, 'commits')).map((name) =>
      readFileSync(join(out, 'commits', name), 'utf8'),
    );
    expect(after).toHaveLength(3);
    for (const commit of committed) expect(after).toContain(commit);
  });

  it('finds an equal run at the same output, and starts another with --new', async () => {
    await addWorker();
    const { out, run } = classify();
    const first = JSON.parse((await run.result).stdout) as { run: string };
    const args = classifyArgs(out);
    const same = JSON.parse((await runCli(args, env)).stdout) as { run: string };
    expect(same.run).toBe(first.run);
    const fresh = JSON.parse((await runCli([...args, '--new'], env)).stdout) as { run: string; out: string };
    expect(fresh.run).not.toBe(first.run);
    expect(fresh.out).toContain(fresh.run);
    const other = await runCli([...args, '--top-k', '2'], env);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/holds r-.*different: topK.*\[OUTPUT_HOLDS_ANOTHER_RUN\]/);
  });

  it('ends a run whose shards cannot be done, says why, and completes it when it is resumed', async () => {
    const model = join(workspace.folder, 'moving.safetensors');
    copyFileSync(workspace.model, model);
    const { out, run } = classify('--no-wait', '--model', model);
    expect((await run.result).code).toBe(0);
    renameSync(model, `${model}.away`);
    await addWorker();
    const failed = await runCli(['resume', out, '--json'], env);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(
      /SHARDS_FAILED: 3 of 3 shards have no result; shard 0: MODEL_NOT_FOUND: .*moving/,
    );
    const status = await runCli(['status', out, '--json'], env);
    expect(JSON.parse(status.stdout)).toMatchObject({
      state: 'failed',
      items: 0,
      failure: { code: 'SHARDS_FAILED' },
    });
    renameSync(`${model}.away`, model);
    expectComplete(await runCli(['resume', out, '--json'], env));
  });

  it('does not start the shards of a cancelled run', async () => {
    const { out, run } = classify('--no-wait');
    expect((await run.result).code).toBe(0);
    expect((await runCli(['cancel', out], env)).stdout).toContain('cancelled');
    await addWorker();
    const status = await runCli(['status', out, '--json'], env);
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'cancelled', items: 0 });
    while ((await queues.get(QUEUES.plan).getJobCountByTypes('active', 'wait', 'waiting-children')) > 0)
      await sleep(50);
    expect(existsSync(join(out, 'parts'))).toBe(false);
  });
});
