/** Child process: trains on a dataset, augmented, from disk. Arguments: dataset, recipe, batch size, steps, warm-up steps. */
import { trainSpecSchema, type TrainRun } from '../src/contract/run.ts';
import { Semaphore } from '../src/pipeline/batch/semaphore.ts';
import { SlabPool } from '../src/pipeline/batch/slab-pool.ts';
import { openDataset } from '../src/pipeline/dataset/open-dataset.ts';
import { TrainerThread } from '../src/pipeline/engine/trainer-thread.ts';
import { applySettings } from '../src/pipeline/recipe/settings.ts';
import { recipeByName } from '../src/pipeline/recipe/recipes.ts';
import { trainingBatches, TRAINING_SLABS } from '../src/pipeline/training/training-batches.ts';
import { StagedBatches } from '../src/pipeline/training/staged-batches.ts';
import { setUpTraining } from '../src/pipeline/training/training-setup.ts';
import { createStoreResolver } from '../src/storage/resolver.ts';
import { readSettings } from '../src/config/environment.ts';
import { CORES } from './machine.ts';

const FETCHES = 32;
const [location = '', recipeName = '', batchSize = '', stepsText = '', warmUpText = ''] =
  process.argv.slice(2);
const resolver = createStoreResolver({ s3: readSettings({}).s3 });
const { dataset, uri } = await openDataset(resolver, location);
const spec = trainSpecSchema.parse({
  kind: 'train',
  dataset: { uri, digest: dataset.digest },
  recipe: applySettings(recipeByName(recipeName), [`batchSize=${batchSize}`, `microBatchSize=${batchSize}`]),
  seed: 0,
  checkpointSteps: 1_000,
  keepCheckpoints: 0,
});
const signal = new AbortController().signal;
const setup = await setUpTraining({ spec } as TrainRun, resolver, signal);
const trainer = await TrainerThread.start({
  engine: 'onnxruntime',
  device: 'cpu',
  threads: CORES,
  spec: setup.trainer,
  facts: setup.facts,
  initial: { kind: 'random' },
});
const { height, width } = setup.trainer.architecture.input;
const resources = {
  slabs: new SlabPool(Number(batchSize) * height * width * 3, TRAINING_SLABS),
  slots: new Semaphore(FETCHES),
  mirrorsLater: trainer.mirrors,
};
const [steps, warmUp] = [Number(stepsText), Number(warmUpText)];
let [done, startedAtMs, loss] = [0, 0, Number.NaN];
const batches = new StagedBatches(trainingBatches(setup, { epoch: 1, fromStep: 0 }, resources, signal), {
  device: trainer,
  slabs: resources.slabs,
  colour: setup.trainer.colour,
});
while (done < warmUp + steps) {
  if (done === warmUp) startedAtMs = performance.now();
  const next = await batches.next();
  if (next === null) throw new Error(`expected ${warmUp + steps} batches, got ${done}`);
  loss = (await next.train(0.01)).lossSum / Number(batchSize);
  done += 1;
}
const seconds = (performance.now() - startedAtMs) / 1_000;
process.stdout.write(`${JSON.stringify({ images: steps * Number(batchSize), seconds, loss })}\n`);
await trainer.terminate();
