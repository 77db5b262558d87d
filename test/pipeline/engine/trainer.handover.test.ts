/** Training that one engine begins and another ends: workers of one fleet may have different engines. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Trainer } from '../../../src/pipeline/engine/trainer.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../src/pipeline/model/checkpoint.ts';
import { RECIPES } from '../../../src/pipeline/recipe/recipes.ts';
import { batchOf, EPOCH, initialWeights, trainingCase } from '../../reference/training/cases.ts';
import { titleNeeding } from '../../support/needs.ts';
import { ENGINES } from './conformance-engines.ts';
import { readTrainingReference, trainStep } from './training-reference.ts';
import { distance } from './training-support.ts';

const TRAINING = trainingCase('alexnet-small');
const REFERENCES = new URL('../../reference/training/', import.meta.url).pathname;
const { variants, steps } = readTrainingReference(join(REFERENCES, `${TRAINING.name}.json`));
const HALF = variants.length / 2;

const header = {
  epoch: EPOCH,
  step: HALF,
  seed: TRAINING.spec.seed,
  recipe: RECIPES['alexnet-small'],
  datasetDigest: `sha256:${'0'.repeat(64)}`,
};
const { preprocessing, architecture } = TRAINING.spec;
const facts = {
  architecture: architecture.name,
  labels: Array.from({ length: 10 }, (_, digit) => String(digit)),
  preprocessing,
};

async function lossesOf(trainer: Trainer, from: number, to: number): Promise<number[]> {
  const losses: number[] = [];
  for (let step = from; step < to; step++) {
    const batch = batchOf(TRAINING, step, variants[step] ?? 0);
    losses.push((await trainStep(TRAINING, trainer, batch, step)).lossSum);
  }
  return losses;
}

const pairs = ENGINES.flatMap((first) =>
  ENGINES.filter((second) => second !== first).map((second) => ({ first, second })),
);

describe.each(pairs)('$first.title, then $second.title', ({ first, second }) => {
  const missing = [first, second].find(({ present }) => !present);
  it.skipIf(missing !== undefined)(
    titleNeeding(
      missing?.needs ?? '',
      missing === undefined,
      'goes on from a checkpoint in mid-epoch as if nothing had happened',
    ),
    { timeout: 120_000 },
    async () => {
      const fresh = { weights: initialWeights(TRAINING), velocities: new Map() };
      const before = await first.create(TRAINING.spec, fresh);
      const losses = await lossesOf(before, 0, HALF);
      const file = encodeCheckpoint(before.state(), header, facts);
      await before.close();
      const after = await second.create(TRAINING.spec, decodeCheckpoint(file, header, 'checkpoint'));
      losses.push(...(await lossesOf(after, HALF, variants.length)));
      await after.close();
      const expected = steps.map(({ lossSum }) => lossSum);
      expect(distance(losses, expected)).toBeLessThan(1e-5);
    },
  );
});
