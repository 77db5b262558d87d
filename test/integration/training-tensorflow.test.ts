import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLibraries } from '../../src/pipeline/engine/tensorflow/find-library.ts';
import { runCli } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';
import { NATIVE_TENSORFLOW, tensorflowDirectory } from '../pipeline/engine/tensorflow-here.ts';
import {
  createTrainingWorkspace,
  epochCommits,
  trainArgs,
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
