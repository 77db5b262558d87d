import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { QUEUES } from '../../src/contract/queues.ts';
import { trainProgressSchema } from '../../src/contract/training.ts';
import { Queues } from '../../src/queue/queues.ts';
import {
  computePid,
  runCli,
  startCli,
  startWorker,
  type CliProcess,
  type CliResult,
} from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import {
  createTrainingWorkspace,
  digestOfFile,
  epochCommits,
  fingerprint,
  metricsSegments,
  stepCommits,
  STEPS_PER_EPOCH,
  trainArgs,
  until,
  type TrainingWorkspace,
} from '../support/training.ts';

/** How long a stopping worker, or a cancelled epoch, may take. */
const STOP_LIMIT_MS = 10_000;
/** Of a file, in bytes: less than a checkpoint, more than a commit. */
const FULL_DISK_BYTES = 100_000;

let redis: TestRedis;
let queues: Queues;
let workspace: TrainingWorkspace;
let env: Record<string, string>;
let reference: Record<string, unknown>;
const started: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createTrainingWorkspace()]);
  env = { ...workspace.env, REDIS_URL: redis.url, IMAGEMILL_LOCK_MS: '2000' };
  queues = new Queues({ redisUrl: redis.url, prefix: 'imagemill' });
  const out = outOf('reference');
  const { code, stderr } = await runCli(trainArgs(workspace.dataset, out), workspace.env);
  if (code !== 0) throw new Error(stderr);
  reference = fingerprint(out);
}, 180_000);

afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await queues.close();
  await redis.stop();
  workspace.remove();
});

const outOf = (name: string) => join(workspace.folder, name);

async function addWorker(extra: Record<string, string> = {}): Promise<CliProcess> {
  const worker = await startWorker({ ...env, ...extra });
  started.push(worker);
  return worker;
}

function train(out: string, ...more: string[]): CliProcess {
  const command = startCli(trainArgs(workspace.dataset, out, ...more), env);
  started.push(command);
  return command;
}

function expectReference({ code, stdout, stderr }: CliResult, out: string): void {
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ state: 'done', epochs: 2 });
  expect(fingerprint(out)).toEqual(reference);
  const steps = metricsSegments(out).flatMap(({ rows }) => rows.map(({ epoch, step }) => [epoch, step]));
  expect(steps).toEqual(
    [1, 2].flatMap((epoch) => Array.from({ length: STEPS_PER_EPOCH }, (_, step) => [epoch, step])),
  );
}

/** Workers are named after their host and process. */
const isBy = ({ child }: CliProcess, { worker }: { worker: string }) => worker.endsWith(`-${child.pid}`);

const liveJobs = () => queues.get(QUEUES.train).getJobs(['active', 'waiting', 'prioritized', 'delayed']);

describe('an epoch in progress', { timeout: 120_000 }, () => {
  it('goes on from its last checkpoint after SIGKILL, in another worker, to the same bytes', async () => {
    const out = outOf('killed');
    const victim = await addWorker();
    const compute = computePid(victim);
    const run = train(out);
    await until(() => stepCommits(out, 1).length >= 2);
    victim.child.kill('SIGKILL');
    await victim.result;
    expect(epochCommits(out)).toEqual([]);
    const before = stepCommits(out, 1);
    const heir = await addWorker();
    expectReference(await run.result, out);

    const after = stepCommits(out, 1).slice(before.length);
    expect(before.every((commit) => isBy(victim, commit))).toBe(true);
    expect([...after, ...epochCommits(out)].every((commit) => isBy(heir, commit))).toBe(true);
    // The heir's first steps are those after the last checkpoint: nothing before it was trained again.
    const [first] = metricsSegments(out).slice(before.length);
    expect(first?.token).not.toBe(before.at(-1)?.token);
    expect(first?.rows[0]?.step).toBe(before.at(-1)?.step);
    expect(existsSync(`/proc/${compute}`)).toBe(false);
  });

  it('is handed over at SIGTERM: a checkpoint of its last step, and no attempt used', async () => {
    const out = outOf('handed-over');
    const first = await addWorker();
    // No checkpoint would be due in the whole epoch.
    const run = train(out, '--checkpoint-steps', '1000');
    const seen = await until(async () => {
      const progress = trainProgressSchema.safeParse((await liveJobs())[0]?.progress);
      return progress.data !== undefined && progress.data.step > 0 && progress.data.step;
    });
    const stoppedAtMs = Date.now();
    first.child.kill('SIGTERM');
    const stopped = await first.result;
    expect(stopped.code).toBe(0);
    expect(Date.now() - stoppedAtMs).toBeLessThan(STOP_LIMIT_MS);

    expect(epochCommits(out)).toEqual([]);
    const [checkpoint, ...others] = stepCommits(out);
    expect(others).toEqual([]);
    expect(checkpoint?.step).toBeGreaterThanOrEqual(seen);
    expect(checkpoint?.step).toBeLessThanOrEqual(STEPS_PER_EPOCH);
    const jobs = await liveJobs();
    expect(jobs.map(({ attemptsMade, failedReason }) => [attemptsMade, failedReason ?? null])).toEqual([
      [0, null],
    ]);
    expect(await jobs[0]?.getState()).toBe('prioritized');

    const second = await addWorker();
    expectReference(await run.result, out);
    expect(epochCommits(out).every((commit) => isBy(second, commit))).toBe(true);
    expect(metricsSegments(out).map(({ rows }) => rows.length)).toEqual([
      checkpoint?.step,
      STEPS_PER_EPOCH - (checkpoint?.step ?? 0),
      STEPS_PER_EPOCH,
    ]);
  });

  it('survives the loss of everything in Redis: its worker lets go, and resume goes on by the ledger', async () => {
    const out = outOf('forgotten');
    const worker = await addWorker({ IMAGEMILL_LOG_LEVEL: 'silent' });
    expect((await train(out, '--no-wait').result).code).toBe(0);
    await until(() => stepCommits(out, 2).length > 0);
    execFileSync('redis-cli', ['-u', redis.url, 'FLUSHALL']);
    const [committed] = epochCommits(out);
    expectReference(await runCli(['resume', out, '--device', 'cpu', '--json'], env), out);
    expect(epochCommits(out)[0]).toEqual(committed);
    expect(await queues.get(QUEUES.train).getJobs(['failed'])).toEqual([]);
    expect(worker.child.exitCode).toBeNull();
  });

  it('waits for room on a full disk, with the checkpoint before intact, and ends with the same bytes', async () => {
    const out = outOf('full-disk');
    const worker = await addWorker({ IMAGEMILL_LOG_LEVEL: 'silent' });
    const run = train(out);
    await until(() => stepCommits(out, 1).length > 0);
    limitFiles(computePid(worker), String(FULL_DISK_BYTES));
    const refused = await until(async () => (await liveJobs()).find(({ attemptsMade }) => attemptsMade > 0));
    expect(refused.failedReason).toMatch(/^STORE_FULL: expected to write ".*\/checkpoints\/.*", got EFBIG/);
    const newest = stepCommits(out, 1).at(-1);
    expect(newest?.step).toBeLessThan(STEPS_PER_EPOCH);
    expect(digestOfFile(join(out, newest?.checkpoint.key ?? ''))).toBe(newest?.checkpoint.digest);
    expect(existsSync(join(out, 'failed.json'))).toBe(false);

    limitFiles(computePid(worker), 'unlimited');
    expectReference(await run.result, out);
  });

  it('stops soon after the run is cancelled, and is not tried again', async () => {
    const out = outOf('cancelled');
    await addWorker({ IMAGEMILL_LOG_LEVEL: 'silent' });
    const run = train(out, '--epochs', '100');
    await until(() => stepCommits(out).length > 0);
    const cancelledAtMs = Date.now();
    expect((await runCli(['cancel', out], env)).stdout).toMatch(/cancelled$/m);
    const { code, stdout } = await run.result;
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'cancelled' });
    await until(async () => (await liveJobs()).length === 0);
    expect(Date.now() - cancelledAtMs).toBeLessThan(3 * STOP_LIMIT_MS);
    const [failed] = await queues.get(QUEUES.train).getJobs(['failed']);
    // An epoch that was done by then ends well, and none follows.
    if (failed !== undefined) expect(failed.failedReason).toMatch(/^RUN_CANCELLED: /);
    else expect(epochCommits(out).length).toBeGreaterThan(0);
    expect(epochCommits(out).length).toBeLessThan(100);
    expect(existsSync(join(out, 'summary.json'))).toBe(false);
    expect(existsSync(join(out, 'failed.json'))).toBe(false);
  });
});

/** The largest file a process may write, from now on. */
function limitFiles(pid: number, bytes: string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
}
