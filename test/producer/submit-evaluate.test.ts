import { beforeEach, describe, expect, it } from 'vitest';
import { isEvaluateRun } from '../../src/contract/run.ts';
import { METADATA_KEYS } from '../../src/pipeline/model/model-metadata.ts';
import { readSafetensors, writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import { submitEvaluate, type EvaluateRequest } from '../../src/producer/submit-evaluate.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../pipeline/prepare/support.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { smallModel } from '../support/workspace.ts';

const MODEL = 'memory://models/m.safetensors';

let stores: TestStores;
let index: RunIndex;
beforeEach(async () => {
  stores = new TestStores();
  index = new RunIndex(stores, 'memory://home/');
  await prepareDataset(stores, fakePrepareRun(), await twoClasses(stores, 6));
  stores.put(MODEL, modelOf(['cat', 'dog', 'emu']));
});

function modelOf(labels: readonly string[]): Uint8Array {
  const { tensors, metadata } = readSafetensors(smallModel(labels.length), 'model');
  return writeSafetensors(tensors, { ...metadata, [METADATA_KEYS.labels]: JSON.stringify(labels) });
}

const submit = (request: Partial<EvaluateRequest> = {}) =>
  submitEvaluate(
    {
      dataset: 'memory://dataset/',
      split: 'val',
      model: MODEL,
      out: 'memory://out/',
      crops: 1,
      batchSize: 4,
      ...request,
    },
    stores,
    index,
  );

async function expectRefused(
  request: Partial<EvaluateRequest>,
  code: string,
  message: string,
): Promise<void> {
  const error = await errorOf(submit(request));
  expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
  expect(await stores.open('memory://out/').head('run.json')).toBeNull();
  expect(await index.list()).toEqual([]);
}

describe('submitEvaluate', () => {
  it('writes a run that labels the split, with dataset and model by their digests', async () => {
    const { run, created } = await submit({ crops: 10 });
    expect([created, isEvaluateRun(run)]).toEqual([true, true]);
    expect(run.spec).toEqual({
      kind: 'evaluate',
      dataset: { uri: 'memory://dataset/', digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
      split: 'val',
      source: { uri: 'memory://dataset/val/', include: [], exclude: [] },
      model: { uri: MODEL, digest: sha256(modelOf(['cat', 'dog', 'emu'])) },
      // The model has only three classes.
      topK: 3,
      crops: 10,
      shardSize: 1_000,
      batchSize: 4,
      format: 'parquet',
      embeddings: false,
    });
    expect((await submit({ crops: 10 })).run.run).toBe(run.run);
  });

  it('takes five labels of a model with more classes, and one class in common is enough', async () => {
    stores.put(MODEL, modelOf(['ant', 'bee', 'cow', 'dog', 'eel', 'fox', 'gnu']));
    expect((await submit()).run.spec).toMatchObject({ topK: 5 });
  });

  it('refuses a model that has no class of the dataset, and names some of both', async () => {
    stores.put(MODEL, modelOf(['ant', 'bee', 'cow', 'eel']));
    await expectRefused(
      {},
      'MODEL_LABELS_MISMATCH',
      'expected classes of the dataset ("cat", "dog"), got a model of "ant", "bee", "cow", …',
    );
  });

  it('refuses a split without images, a dataset or a model that is not there', async () => {
    const whole = fakePrepareRun({ valFraction: 0 });
    await prepareDataset(stores, whole, await twoClasses(stores, 3), 'whole');
    const dataset = 'memory://whole/';
    await expectRefused(
      { dataset },
      'SOURCE_EMPTY',
      `${dataset}: expected images in the split val, found none`,
    );
    expect((await submit({ dataset, split: 'train', out: 'memory://other/' })).created).toBe(true);
  });

  it.each<[Partial<EvaluateRequest>, string, string]>([
    [{ dataset: 'memory://nothing/' }, 'DATASET_NOT_FOUND', 'memory://nothing/'],
    [{ model: 'memory://models/gone.onnx' }, 'MODEL_NOT_FOUND', 'memory://models/gone.onnx'],
    [{ batchSize: 0 }, 'USAGE', 'batchSize'],
  ])('refuses %j', expectRefused);
});
