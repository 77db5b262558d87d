import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Commit } from '../../src/contract/ledger.ts';
import { QUEUES } from '../../src/contract/queues.ts';
import { Queues } from '../../src/queue/queues.ts';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import {
  createTrainingWorkspace,
  epochCommits,
  fingerprint,
  stepCommits,
  trainArgs,
  until,
  type TrainingWorkspace,
} from '../support/training.ts';
import { smallModel } from '../support/workspace.ts';

const IMAGES = 50;

let redis: TestRedis;
let queues: Queues;
let workspace: TrainingWorkspace;
let model: string;
let env: Record<string, string>;
const started: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createTrainingWorkspace()]);
  env = { ...workspace.env, REDIS_URL: redis.url, IMAGEMILL_LOCK_MS: '2000' };
  queues = new Queues({ redisUrl: redis.url, prefix: 'imagemill' });
  model = join(workspace.folder, 'model.safetensors');
  writeFileSync(model, smallModel());
}, 120_000);

afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await queues.close();
  await redis.stop();
  workspace.remove();
});

const outOf = (name: string) => join(workspace.folder, name);

function start(args: string[]): CliProcess {
  const command = startCli(args, env);
  started.push(command);
  return command;
}

const classify = (out: string, priority: string) =>
  start(
    ['classify', join(workspace.images, 'dots'), '--model', model, '--out', out].concat(
      ['--priority', priority, '--limit', String(IMAGES), '--shard-size', '25'],
      ['--format', 'jsonl', '--json'],
    ),
  );

function shardCommits(out: string): Commit[] {
  return readdirSync(join(out, 'commits'))
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .map((name) => JSON.parse(readFileSync(join(out, 'commits', name), 'utf8')) as Commit);
}

const timesOf = (commits: readonly { committedAt: string }[]) =>
  commits.map(({ committedAt }) => Date.parse(committedAt));

describe('the only device', { timeout: 180_000 }, () => {
  it('does more urgent labelling in the middle of an epoch, less urgent after the last, and trains the same', async () => {
    const reference = outOf('reference');
    const undisturbed = await runCli(trainArgs(workspace.dataset, reference, '--epochs', '3'), workspace.env);
    expect(undisturbed.code).toBe(0);

    started.push(await startWorker(env));
    const out = outOf('yielding');
    const training = start(trainArgs(workspace.dataset, out, '--epochs', '3'));
    await until(() => stepCommits(out).length > 0);
    const [urgent, patient] = [outOf('urgent'), outOf('patient')];
    const patientRun = classify(patient, '200');
    const { code, stdout, stderr } = await classify(urgent, '1').result;
    expect(existsSync(join(out, 'summary.json'))).toBe(false);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'done', items: IMAGES, errors: 0, shards: 2 });

    expect((await training.result).code).toBe(0);
    expect(fingerprint(out)).toEqual(fingerprint(reference));
    expect(JSON.parse((await patientRun.result).stdout)).toMatchObject({ state: 'done', items: IMAGES });

    const trainedAt = timesOf([...stepCommits(out), ...epochCommits(out)]);
    const urgentAt = timesOf(shardCommits(urgent));
    const patientAt = timesOf(shardCommits(patient));
    expect([urgentAt.length, patientAt.length]).toEqual([2, 2]);
    expect(Math.min(...trainedAt)).toBeLessThan(Math.min(...urgentAt));
    expect(Math.max(...urgentAt)).toBeLessThan(Math.max(...trainedAt));
    expect(Math.min(...patientAt)).toBeGreaterThan(Math.max(...trainedAt));
  });

  it('takes over an urgent shard whose worker was killed, without waiting for the end of training', async () => {
    started.push(await startWorker({ ...env, IMAGEMILL_LOG_LEVEL: 'silent' }));
    const out = outOf('long');
    const submitted = start(trainArgs(workspace.dataset, out, '--epochs', '100', '--no-wait'));
    expect((await submitted.result).code).toBe(0);
    await until(() => stepCommits(out).length > 0);

    // It takes every shard at once, and does none.
    const victim = start(['worker', '--device', 'cpu', '--queues', 'classify']);
    await until(() => victim.stderr().includes('serves'));
    const pid = victim.child.pid ?? 0;
    const compute = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
    process.kill(compute, 'SIGSTOP');
    const run = classify(outOf('taken-over'), '1');
    await until(async () => (await queues.get(QUEUES.classify).getActiveCount()) > 0);
    victim.child.kill('SIGKILL');
    process.kill(compute, 'SIGKILL');

    const { code, stdout } = await run.result;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'done', items: IMAGES });
    expect(existsSync(join(out, 'summary.json'))).toBe(false);
  });
});
