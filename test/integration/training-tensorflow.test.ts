import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLibraries } from '../../src/pipeline/engine/tensorflow/find-library.ts';
import { computePid, runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';
import { NATIVE_TENSORFLOW, tensorflowDirectory } from '../pipeline/engine/tensorflow-here.ts';
import { startRedis } from '../support/redis.ts';
import {
  createTrainingWorkspace,
  epochCommits,
  metricsSegments,
  stepCommits,
  STEPS_PER_EPOCH,
  trainArgs,
  until,
  type TrainingWorkspace,
} from '../support/training.ts';

const isHere = findLibraries(tensorflowDirectory).some(({ fault }) => fault === null);
let workspace: TrainingWorkspace;

beforeAll(async () => {
  workspace = await createTrainingWorkspace();
});
afterAll(() => workspace.remove());

function losses(out: string): number[] {
  return epochCommits(out).flatMap(({ train, validation }) => [train.loss, validation?.loss ?? Number.NaN]);
}

describe('imagemill train --engine tensorflow', () => {
  it.skipIf(!isHere)(
    titleNeeding(NATIVE_TENSORFLOW, isHere, 'learns what ONNX Runtime learns, and its model labels the same'),
    { timeout: 240_000 },
    async () => {
      const { folder, dataset, images, env } = workspace;
      const out = (engine: string): string => join(folder, engine);
      for (const engine of ['onnxruntime', 'tensorflow']) {
        const args = trainArgs(dataset, out(engine), '--seed', '7', '--engine', engine);
        const { code, stderr } = await runCli(args, env);
        expect(code, stderr).toBe(0);
      }
      const [expected, actual] = [losses(out('onnxruntime')), losses(out('tensorflow'))];
      expect(actual).toHaveLength(4);
      // The second epoch begins from the first one's checkpoint in another process; rounding grows from step to step.
      actual.forEach((loss, index) => expect(loss).toBeCloseTo(expected[index] ?? Number.NaN, 2));

      const rows: string[][] = [];
      for (const engine of ['onnxruntime', 'tensorflow']) {
        const labels = join(folder, `labels-${engine}`);
        const model = join(out('tensorflow'), 'best.safetensors');
        const common = ['--out', labels, '--device', 'cpu', '--engine', engine, '--top-k', '1', '--json'];
        const { code, stderr } = await runCli(['classify', images, '--model', model, ...common], env);
        expect(code, stderr).toBe(0);
        const { stdout } = await runCli(['results', labels], env);
        rows.push(
          stdout
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => {
              const { uri, labels: best } = JSON.parse(line) as { uri: string; labels: string[] };
              return `${uri} ${best.join()}`;
            })
            .toSorted(),
        );
      }
      expect(rows[0]).toHaveLength(450);
      expect(rows[0]?.[0]).toMatch(/bars\/000\.png bars$/);
      expect(rows[1]).toEqual(rows[0]);
    },
  );

  it.skipIf(!isHere)(
    titleNeeding(
      NATIVE_TENSORFLOW,
      isHere,
      'outlives its compute process, and its worker, whose heir has ONNX Runtime',
    ),
    { timeout: 240_000 },
    async () => {
      const { folder, dataset, env } = workspace;
      const redis = await startRedis();
      const fleet = { ...env, REDIS_URL: redis.url, IMAGEMILL_LOCK_MS: '2000' };
      const out = join(folder, 'killed');
      const processes: CliProcess[] = [];
      const begin = <P extends CliProcess>(process: P): P => {
        processes.push(process);
        return process;
      };
      try {
        const undisturbed = join(folder, 'undisturbed');
        expect((await runCli(trainArgs(dataset, undisturbed, '--seed', '8'), env)).code).toBe(0);

        const victim = begin(await startWorker(fleet, '--engine', 'tensorflow'));
        const run = begin(startCli(trainArgs(dataset, out, '--seed', '8'), fleet));
        await until(() => stepCommits(out, 1).length > 0);
        const [before, compute] = [stepCommits(out, 1).length, computePid(victim)];
        process.kill(compute, 'SIGKILL');
        // The same worker goes on from the checkpoint, in a new process.
        await until(() => stepCommits(out, 1).length > before || epochCommits(out).length > 0);
        expect(computePid(victim)).not.toBe(compute);
        expect(victim.stderr()).toContain('COMPUTE_DIED');
        await until(() => epochCommits(out).length > 0 && stepCommits(out, 2).length > 0);
        victim.child.kill('SIGKILL');
        const heir = begin(await startWorker(fleet, '--engine', 'onnxruntime'));
        const { code, stderr } = await run.result;
        expect(code, stderr).toBe(0);

        const [expected, actual] = [losses(undisturbed), losses(out)];
        expect(actual).toHaveLength(4);
        actual.forEach((loss, index) => expect(loss).toBeCloseTo(expected[index] ?? Number.NaN, 2));
        expect(epochCommits(out).map(({ worker }) => worker.split('-').at(-1))).toEqual([
          String(victim.child.pid),
          String(heir.child.pid),
        ]);
        const steps = metricsSegments(out).flatMap(({ rows }) =>
          rows.map(({ epoch, step }) => [epoch, step]),
        );
        expect(steps).toEqual(
          [1, 2].flatMap((epoch) => Array.from({ length: STEPS_PER_EPOCH }, (_, step) => [epoch, step])),
        );
      } finally {
        for (const { child } of processes) child.kill('SIGKILL');
        await redis.stop();
      }
    },
  );

  it('refuses to begin where there is no TensorFlow, and says how to get one', async () => {
    const nothing = mkdtempSync(join(tmpdir(), 'imagemill-no-tensorflow-'));
    try {
      const out = join(workspace.folder, 'none');
      const args = trainArgs(workspace.dataset, out, '--engine', 'tensorflow');
      const { code, stderr } = await runCli(args, { ...workspace.env, IMAGEMILL_TENSORFLOW: nothing });
      expect(code).toBe(2);
      expect(stderr).toContain(
        'the engine tensorflow needs TensorFlow, and none is here: npm run setup:tensorflow builds one',
      );
    } finally {
      rmSync(nothing, { recursive: true });
    }
  });
});
