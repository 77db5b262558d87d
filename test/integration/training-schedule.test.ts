import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QUEUES } from '../../src/contract/queues.ts';
import type { TrainRun } from '../../src/contract/run.ts';
import { Queues } from '../../src/queue/queues.ts';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import {
  createTrainingWorkspace,
  digestOfFile,
  stepCommits,
  trainArgs,
  until,
  type TrainingWorkspace,
} from '../support/training.ts';

let redis: TestRedis;
let queues: Queues;
let workspace: TrainingWorkspace;
let env: Record<string, string>;
let worker: CliProcess;

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createTrainingWorkspace()]);
  env = { ...workspace.env, REDIS_URL: redis.url };
  queues = new Queues({ redisUrl: redis.url, prefix: 'imagemill' });
  worker = await startWorker(env);
}, 120_000);

afterAll(async () => {
  worker.child.kill('SIGKILL');
  await queues.close();
  await redis.stop();
  workspace.remove();
});

/** One epoch in large batches: done within a second or two. */
const args = (out: string, ...more: string[]) =>
  trainArgs(workspace.dataset, out, '--epochs', '1', '--batch-size', '64', ...more);

const runOf = (out: string) => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as TrainRun;

describe('training at a time', { timeout: 120_000 }, () => {
  it('begins then, not before', async () => {
    const out = join(workspace.folder, 'later');
    const at = new Date(Date.now() + 6_000);
    const command = startCli(args(out, '--at', at.toISOString(), '--checkpoint-steps', '1'), env);
    const train = queues.get(QUEUES.train);
    const [job] = await until(async () => {
      const delayed = await train.getDelayed();
      return delayed.length > 0 && delayed;
    });
    expect(Date.now()).toBeLessThan(at.getTime());
    expect(existsSync(join(out, 'steps'))).toBe(false);
    const { code, stdout } = await command.result;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'done', epochs: 1 });
    const [first] = stepCommits(out);
    expect(Date.parse(first?.committedAt ?? '')).toBeGreaterThan(at.getTime());
    const finished = await train.getJob(job?.id ?? '');
    expect(finished?.processedOn).toBeGreaterThanOrEqual(at.getTime());
    // Nobody waits long after the time has come, either.
    expect(finished?.processedOn).toBeLessThan(at.getTime() + 10_000);
  });

  it('begins at every time of a schedule, each run from the best model of the one before', async () => {
    const out = join(workspace.folder, 'nightly');
    const scheduled = await runCli(args(out, '--cron', '*/5 * * * * *'), env);
    expect(scheduled.code).toBe(0);
    const { schedule } = JSON.parse(scheduled.stdout) as { schedule: string };
    const listed = await runCli(['schedules', '--json'], env);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ id: schedule, pattern: '*/5 * * * * *' }]);

    const done = (): string[] =>
      existsSync(out)
        ? readdirSync(out)
            .filter((name) => existsSync(join(out, name, 'summary.json')))
            .toSorted()
        : [];
    const [first = '', second = ''] = await until(() => done().length >= 2 && done());
    expect((await runCli(['schedules', '--remove', schedule], env)).stdout).toBe(`${schedule} removed\n`);
    expect((await runCli(['schedules', '--json'], env)).stdout).toBe('[]\n');
    expect((await runCli(['schedules', '--remove', schedule], env)).code).toBe(2);

    const best = join(out, first, 'best.safetensors');
    expect(runOf(join(out, first)).spec.init).toBeUndefined();
    expect(runOf(join(out, second)).spec.init).toEqual({ uri: `file://${best}`, digest: digestOfFile(best) });
    expect(digestOfFile(join(out, second, 'best.safetensors'))).not.toBe(digestOfFile(best));
  });
});
