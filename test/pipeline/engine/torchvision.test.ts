import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadModel } from '../../../src/pipeline/engine/load-model.ts';
import { blockPixels, referencePath, relativeError, runGraph } from './support.ts';
import { titleNeeding } from '../../support/needs.ts';

/** Debian's Python, where python3-torchvision lives. */
const PYTHON = '/usr/bin/python3';
const IMAGES = 2;

const hasTorchvision = spawnSync(PYTHON, ['-c', 'import torchvision']).status === 0;

it.skipIf(!hasTorchvision)(
  titleNeeding(
    'python3-torchvision',
    hasTorchvision,
    'gives the logits of a file that torchvision saved, to 1e-4',
  ),
  { timeout: 300_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'imagemill-torchvision-'));
    try {
      const [weights, pixels] = [join(folder, 'alexnet.pth'), join(folder, 'pixels.u8')];
      const images = blockPixels(IMAGES, 224);
      writeFileSync(pixels, images);
      const script = referencePath('make-reference.py');
      const run = spawnSync(PYTHON, [script, 'torchvision-logits', weights, pixels, String(IMAGES)]);
      expect(run.status, run.stderr.toString()).toBe(0);
      const expected = JSON.parse(run.stdout.toString()) as number[][];

      const model = await loadModel(readFileSync(weights), { uri: weights });
      expect(model.card).toMatchObject({
        architecture: 'alexnet-owt',
        format: 'pytorch',
        parameters: 61_100_840,
      });
      const graph = model.compile({
        topK: 5,
        batchSize: IMAGES,
        crops: 1,
        embeddings: false,
        rawScores: true,
      });
      const [, , logits] = await runGraph(graph, images, IMAGES);
      expect(relativeError(logits ?? [], expected.flat())).toBeLessThan(1e-4);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
