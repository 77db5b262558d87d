import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadModel, type LoadedModel } from '../../../src/pipeline/engine/load-model.ts';
import { exportModelAs } from '../../../src/pipeline/engine/export-model.ts';
import { createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import { writeSafetensors } from '../../../src/pipeline/model/weights/safetensors.ts';
import { cheapWeights } from '../model/export-support.ts';
import { blockPixels, referencePath, relativeError, runGraph } from './support.ts';
import { titleNeeding } from '../../support/needs.ts';

/** Debian's Python, where python3-torchvision lives. */
const PYTHON = '/usr/bin/python3';
const IMAGES = 2;

const hasTorchvision = spawnSync(PYTHON, ['-c', 'import torchvision']).status === 0;

/** Runs `body` with a temporary folder. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-torchvision-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function logitsOfTorchvision(tool: string, weights: string, images: Uint8Array): number[] {
  const pixels = `${weights}.pixels`;
  writeFileSync(pixels, images);
  const script = referencePath('make-reference.py');
  const run = spawnSync(PYTHON, [script, tool, weights, pixels, String(IMAGES)]);
  expect(run.status, run.stderr.toString()).toBe(0);
  return (JSON.parse(run.stdout.toString()) as number[][]).flat();
}

async function ownLogits(model: LoadedModel, images: Uint8Array): Promise<ArrayLike<number>> {
  const options = { topK: 5, batchSize: IMAGES, crops: 1, embeddings: false, rawScores: true } as const;
  const [, , logits] = await runGraph(model.compile(options), images, IMAGES);
  return logits ?? [];
}

it.skipIf(!hasTorchvision)(
  titleNeeding(
    'python3-torchvision',
    hasTorchvision,
    'gives the logits of a file that torchvision saved, to 1e-4',
  ),
  { timeout: 300_000 },
  () =>
    inFolder(async (folder) => {
      const weights = join(folder, 'alexnet.pth');
      const images = blockPixels(IMAGES, 224);
      const expected = logitsOfTorchvision('torchvision-logits', weights, images);
      const model = await loadModel(readFileSync(weights), { uri: weights });
      expect(model.card).toMatchObject({
        architecture: 'alexnet-owt',
        format: 'pytorch',
        parameters: 61_100_840,
      });
      expect(relativeError(await ownLogits(model, images), expected)).toBeLessThan(1e-4);
    }),
);

it.skipIf(!hasTorchvision)(
  titleNeeding(
    'python3-torchvision',
    hasTorchvision,
    'exports safetensors that torchvision loads with strict=True, and that give it the same logits, to 1e-4',
  ),
  { timeout: 300_000 },
  () =>
    inFolder(async (folder) => {
      const weights = cheapWeights(createArchitecture('alexnet-owt', { classes: 12 }));
      const model = await loadModel(writeSafetensors(weights), { uri: 'alexnet.safetensors' });
      const exported = exportModelAs(model, 'safetensors');
      const file = join(folder, 'exported.safetensors');
      writeFileSync(file, exported.kind === 'file' ? exported.bytes : '');
      const images = blockPixels(IMAGES, 224);
      const expected = logitsOfTorchvision('torchvision-load', file, images);
      expect(expected).toHaveLength(IMAGES * 12);
      expect(relativeError(await ownLogits(model, images), expected)).toBeLessThan(1e-4);
    }),
);
