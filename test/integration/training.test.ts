import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startRedis } from '../support/redis.ts';
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

const PNG_SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const TRAINED_ITEMS = STEPS_PER_EPOCH * 16;

let workspace: TrainingWorkspace;
let reference: string;
const started: CliProcess[] = [];

beforeAll(async () => {
  workspace = await createTrainingWorkspace();
  reference = join(workspace.folder, 'reference');
}, 120_000);

afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});

afterAll(() => workspace.remove());

const outOf = (name: string) => join(workspace.folder, name);

function start(args: string[], env = workspace.env): CliProcess {
  const command = startCli(args, env);
  started.push(command);
  return command;
}

/** Interrupts a command as Ctrl-C does, as soon as a checkpoint is committed. */
async function interruptInEpoch(out: string, ...more: string[]): Promise<void> {
  const command = start(trainArgs(workspace.dataset, out, ...more));
  await until(() => stepCommits(out).length > 0);
  command.child.kill('SIGINT');
  const { code, stderr } = await command.result;
  expect(stderr).toMatch(/stopped after its last checkpoint: imagemill resume r-/);
  expect(code).toBe(130);
  expect(epochCommits(out)).toEqual([]);
}

describe('training', { timeout: 180_000 }, () => {
  it('leaves checkpoints, models, curves, a summary, and metrics of every step once', async () => {
    const { code, stdout, stderr } = await runCli(trainArgs(workspace.dataset, reference), workspace.env);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { run: string; best: { epoch: number; top1Error: number } };
    expect(report).toMatchObject({
      run: expect.stringMatching(/^r-/) as string,
      state: 'done',
      out: `file://${reference}/`,
      epochs: 2,
      best: { model: `file://${reference}/best.safetensors` },
    });

    const epochs = epochCommits(reference);
    expect(epochs.map(({ epoch, steps, train }) => [epoch, steps, train.items])).toEqual([
      [1, STEPS_PER_EPOCH, TRAINED_ITEMS],
      [2, STEPS_PER_EPOCH, TRAINED_ITEMS],
    ]);
    expect(report.best.top1Error).toBe(
      Math.min(...epochs.map((commit) => commit.validation?.top1Error ?? 1)),
    );
    for (const { checkpoint } of epochs) {
      expect(digestOfFile(join(reference, checkpoint.key))).toBe(checkpoint.digest);
    }

    const summary = JSON.parse(readFileSync(join(reference, 'summary.json'), 'utf8')) as unknown;
    expect(summary).toMatchObject({
      run: report.run,
      epochs: 2,
      stoppedEarly: false,
      best: { epoch: report.best.epoch, digest: digestOfFile(join(reference, 'best.safetensors')) },
      last: { epoch: 2, digest: digestOfFile(join(reference, 'last.safetensors')) },
      items: 2 * TRAINED_ITEMS,
    });
    const curves = readFileSync(join(reference, 'curves.png'));
    expect(curves.subarray(0, PNG_SIGNATURE.length)).toEqual(PNG_SIGNATURE);
    expect(curves.length).toBeGreaterThan(5_000);
  });

  it('counts every step of every epoch once over the segments of metrics', () => {
    const rows = metricsSegments(reference).flatMap((segment) => segment.rows);
    const steps = Array.from({ length: STEPS_PER_EPOCH }, (_, step) => step);
    expect(rows.map(({ epoch, step }) => [epoch, step])).toEqual([
      ...steps.map((step) => [1, step]),
      ...steps.map((step) => [2, step]),
    ]);
    for (const { epoch, train } of epochCommits(reference)) {
      const losses = rows.filter((row) => row.epoch === epoch).map(({ loss }) => loss);
      expect(losses.reduce((sum, loss) => sum + loss, 0) / STEPS_PER_EPOCH).toBeCloseTo(train.loss, 10);
    }
  });

  it('gives the same bytes for the same seed: embedded again, and by a worker of a shared queue', async () => {
    const again = await runCli(trainArgs(workspace.dataset, outOf('again')), workspace.env);
    expect(again.code).toBe(0);
    expect(fingerprint(outOf('again'))).toEqual(fingerprint(reference));

    const redis = await startRedis();
    try {
      const env = { ...workspace.env, REDIS_URL: redis.url };
      started.push(await startWorker(env));
      const queued = await runCli(trainArgs(workspace.dataset, outOf('queued')), env);
      expect(queued.stderr).toBe('');
      expect(queued.code).toBe(0);
      expect(fingerprint(outOf('queued'))).toEqual(fingerprint(reference));
    } finally {
      for (const { child } of started.splice(0)) child.kill('SIGKILL');
      await redis.stop();
    }
  });

  it('gives other weights for another seed, in another order', async () => {
    const out = outOf('seed-1');
    await interruptInEpoch(out, '--seed', '1');
    const first = (at: string) => stepCommits(at, 1).find(({ step }) => step === 5);
    expect(first(out)?.checkpoint.bytes).toBe(first(reference)?.checkpoint.bytes);
    expect(first(out)?.checkpoint.digest).not.toBe(first(reference)?.checkpoint.digest);
    expect(first(out)?.totals.lossSum).not.toBe(first(reference)?.totals.lossSum);
  });

  it('refuses a damaged checkpoint in one line, and goes on with it once it is restored', async () => {
    const out = outOf('damaged');
    await interruptInEpoch(out);
    const newest = stepCommits(out, 1).at(-1);
    const path = join(out, newest?.checkpoint.key ?? '');
    const intact = readFileSync(path);
    const damaged = Buffer.from(intact);
    damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 0x10;
    writeFileSync(path, damaged);

    const refused = await runCli(['resume', out, '--device', 'cpu', '--json'], workspace.env);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /^imagemill: CHECKPOINT_INVALID: \S+ expected a file with the digest sha256:\w{64}, got sha256:\w{64}\n$/,
    );
    expect(refused.stderr).toContain(newest?.checkpoint.key);
    expect(JSON.parse(refused.stdout)).toMatchObject({ state: 'failed', epochs: 0 });
    const failure = JSON.parse(readFileSync(join(out, 'failed.json'), 'utf8')) as unknown;
    expect(failure).toMatchObject({ code: 'CHECKPOINT_INVALID' });

    writeFileSync(path, intact);
    const resumed = await runCli(['resume', out, '--device', 'cpu', '--json'], workspace.env);
    expect(resumed.stderr).toBe('');
    expect(JSON.parse(resumed.stdout)).toMatchObject({ state: 'done', epochs: 2 });
    expect(fingerprint(out)).toEqual(fingerprint(reference));
    expect(existsSync(join(out, 'failed.json'))).toBe(false);
  });

  it('stops at a loss that is not a number, keeps what was good, and says how to look at the batch', async () => {
    const out = outOf('diverged');
    const args = trainArgs(workspace.dataset, out, '--set', 'learningRate=1e9', '--checkpoint-steps', '1');
    const { code, stdout, stderr } = await runCli(args, workspace.env);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ state: 'failed', epochs: 0, best: null });
    const line =
      /^imagemill: LOSS_NOT_FINITE: epoch 1, step (\d+): expected .* (imagemill train-batch .*png);.*\n$/;
    expect(stderr).toMatch(line);
    const [, step = '', command = ''] = line.exec(stderr) ?? [];

    const good = stepCommits(out, 1);
    expect(good.map((commit) => commit.step)).toEqual(
      Array.from({ length: good.length }, (_, index) => index + 1),
    );
    expect(good.length).toBeGreaterThan(0);
    expect(good.length).toBeLessThanOrEqual(Number(step));
    const newest = good.at(-1)?.checkpoint;
    expect(digestOfFile(join(out, newest?.key ?? ''))).toBe(newest?.digest);

    const drawn = await runCli(command.split(' ').slice(1), workspace.env, workspace.folder);
    expect(drawn.code).toBe(0);
    expect(drawn.stdout).toMatch(
      new RegExp(`^16 images of epoch 1, step ${step}, row by row: (bars|checks|dots),`),
    );
    const picture = readFileSync(join(workspace.folder, 'batch.png'));
    expect(picture.subarray(0, PNG_SIGNATURE.length)).toEqual(PNG_SIGNATURE);
  });
});
