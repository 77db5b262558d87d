import { beforeEach, describe, expect, it } from 'vitest';
import type { Dataset } from '../../src/contract/dataset.ts';
import { isTrainRun } from '../../src/contract/run.ts';
import { digestOfDataset } from '../../src/pipeline/dataset/dataset-facts.ts';
import { recipeByName } from '../../src/pipeline/recipe/recipes.ts';
import { submitTrain, type TrainRequest } from '../../src/producer/submit-train.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../pipeline/prepare/support.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { smallModel } from '../support/workspace.ts';

const INIT = 'memory://models/init.safetensors';

let stores: TestStores;
let index: RunIndex;
let dataset: Dataset;
beforeEach(async () => {
  stores = new TestStores();
  index = new RunIndex(stores, 'memory://home/');
  ({ dataset } = await prepareDataset(stores, fakePrepareRun(), await twoClasses(stores, 8)));
  stores.put(INIT, smallModel(10));
});

const submit = (request: Partial<TrainRequest> = {}) =>
  submitTrain(
    {
      dataset: 'memory://dataset/',
      out: 'memory://run/',
      recipe: 'alexnet-small',
      settings: ['batchSize=4', 'epochs=3'],
      seed: 7,
      checkpointSteps: 100,
      keepCheckpoints: 2,
      fresh: false,
      ...request,
    },
    stores,
    index,
  );

async function expectRefused(request: Partial<TrainRequest>, code: string, message: string): Promise<void> {
  const error = await errorOf(submit(request));
  expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
  expect(await stores.open('memory://run/').head('run.json')).toBeNull();
  expect(await index.list()).toEqual([]);
}

/** Puts another document in place of the dataset's, with the digest that belongs to it. */
async function changeDataset(change: Partial<Dataset>): Promise<void> {
  const changed = { ...dataset, ...change };
  const complete = { ...changed, digest: digestOfDataset(changed) };
  await stores.open('memory://dataset/').put('dataset.json', Buffer.from(JSON.stringify(complete)));
}

describe('submitTrain', () => {
  it('writes a run with the whole recipe, and its plan: so many epochs, so many images', async () => {
    const { run, ledger, created } = await submit();
    expect([created, isTrainRun(run)]).toEqual([true, true]);
    expect(run.spec).toEqual({
      kind: 'train',
      dataset: { uri: 'memory://dataset/', digest: dataset.digest },
      recipe: {
        ...recipeByName('alexnet-small'),
        batchSize: 4,
        microBatchSize: 4,
        epochs: 3,
        source: expect.stringContaining('; with batchSize=4, microBatchSize=4') as string,
      },
      seed: 7,
      checkpointSteps: 100,
      keepCheckpoints: 2,
    });
    // What is left over of an epoch after whole batches is not trained on.
    const steps = Math.floor(dataset.splits.train.items / 4);
    expect(await ledger.findPlan()).toMatchObject({ shards: 3, items: 3 * steps * 4 });
    expect((await index.list())[0]).toMatchObject({ kind: 'train', source: 'memory://dataset/' });
  });

  it('takes the same request for the same run, and any other at the same place for another', async () => {
    const { run } = await submit();
    const again = await submit();
    expect([again.created, again.run.run]).toEqual([false, run.run]);
    const error = await errorOf(submit({ seed: 8 }));
    expect([error.code, error.message]).toEqual([
      'OUTPUT_HOLDS_ANOTHER_RUN',
      expect.stringContaining('(different: seed)'),
    ]);
    const nested = await submit({ seed: 8, fresh: true, nested: true });
    expect(nested.ledger.out).toBe(`memory://run/${nested.run.run}/`);
  });

  it('takes the weights of a model with other classes to start from, by their digest', async () => {
    const { run } = await submit({ init: INIT });
    expect(run.spec).toMatchObject({ init: { uri: INIT, digest: sha256(smallModel(10)) } });
  });

  it.each<[Partial<TrainRequest>, string, string]>([
    [{ dataset: 'memory://nothing/' }, 'DATASET_NOT_FOUND', 'memory://nothing/'],
    [
      { settings: ['batchSize=99'] },
      'DATASET_TOO_SMALL',
      'expected at least a batch of 99 training images, got',
    ],
    [{ settings: ['batchSize=4', 'epoch=3'] }, 'RECIPE_INVALID', 'did you mean epochs?'],
    [{ recipe: 'alexnet-smal' }, 'RECIPE_INVALID', 'did you mean alexnet-small?'],
    [{ init: 'memory://models/gone.pth' }, 'MODEL_NOT_FOUND', 'memory://models/gone.pth'],
    [{ init: INIT, recipe: 'alexnet-owt' }, 'MODEL_SHAPE_MISMATCH', 'of alexnet-owt to start from'],
    [{ seed: -1 }, 'USAGE', 'seed'],
    [{ checkpointSteps: 0 }, 'USAGE', 'checkpointSteps'],
  ])('refuses %j before it writes anything', expectRefused);

  it('accepts a batch of the whole training split, and no larger one', async () => {
    const { items } = dataset.splits.train;
    await expectRefused({ settings: [`batchSize=${items + 1}`] }, 'DATASET_TOO_SMALL', `got ${items};`);
    const { ledger } = await submit({ settings: [`batchSize=${items}`, 'epochs=1'] });
    expect(await ledger.findPlan()).toMatchObject({ shards: 1, items });
  });

  it('refuses a dataset of one class, or with a class that has no training images', async () => {
    const { train, val } = dataset.splits;
    await changeDataset({ splits: { train: { ...train, itemsPerClass: [train.items, 0] }, val } });
    await expectRefused({}, 'DATASET_CLASSES', 'each with training images, got 2, without images: dog');
    const only = [train.items];
    await changeDataset({ classes: ['cat'], splits: { train: { ...train, itemsPerClass: only }, val } });
    await expectRefused(
      {},
      'DATASET_CLASSES',
      'expected two classes or more, each with training images, got 1',
    );
  });
});
