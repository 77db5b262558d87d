import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src/contract/dataset.ts';
import type { EvaluateRun, TrainRun } from '../../../src/contract/run.ts';
import type { PictureHost } from '../../../src/dashboard/pictures/picture-host.ts';
import { filterImages, layOutImages } from '../../../src/pipeline/charts/image-grid.ts';
import { datasetSource } from '../../../src/pipeline/dataset/dataset-source.ts';
import { openDataset } from '../../../src/pipeline/dataset/open-dataset.ts';
import { encodePng } from '../../../src/pipeline/decode/encode-png.ts';
import { encodeCheckpoint } from '../../../src/pipeline/model/checkpoint.ts';
import { initialiseWeights } from '../../../src/pipeline/model/init.ts';
import { describeModel } from '../../../src/pipeline/model/model-metadata.ts';
import { writeSafetensors } from '../../../src/pipeline/model/weights/safetensors.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { architectureOf, preprocessingOf } from '../../../src/pipeline/recipe/architecture-of.ts';
import { drawBatch } from '../../../src/pipeline/training/draw-batch.ts';
import { setUpTraining } from '../../../src/pipeline/training/training-setup.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../../src/storage/training-ledger.ts';
import { errorOf } from '../../pipeline/source/support.ts';
import { runCli } from '../../support/cli.ts';
import { readDataset, readMembers, writeClasses } from '../../support/datasets.ts';
import { fakeRun } from '../../support/fake-run.ts';
import { fakeTrainRun } from '../../support/fake-train-run.ts';
import { fakeEpochCommit } from '../../support/fake-training.ts';
import { PictureWorkspace, shape } from './support.ts';

let workspace: PictureWorkspace;
let host: PictureHost;
let dataset: Dataset;
beforeAll(async () => {
  workspace = new PictureWorkspace();
  host = workspace.host();
  await writeClasses(workspace.at('pets'), ['ant', 'bee'], 12, 48);
  const { code, stderr } = await runCli(
    ['prepare', workspace.at('pets'), '--out', workspace.at('dataset'), '--val-fraction', '0.25'],
    { IMAGEMILL_HOME: workspace.at('home') },
  );
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  dataset = readDataset(workspace.at('dataset'));
}, 60_000);
afterAll(() => workspace.remove());

function trainRun(): TrainRun {
  const { recipe } = fakeTrainRun().spec;
  return fakeTrainRun({
    recipe: { ...recipe, epochs: 2, batchSize: 4, microBatchSize: 2 },
    dataset: { uri: `file://${workspace.at('dataset')}/`, digest: dataset.digest },
  });
}

async function submit(name: string, run = trainRun()): Promise<RunLedger> {
  const ledger = new RunLedger(workspace.resolver.open(workspace.at(name)));
  await ledger.createRun(run);
  return ledger;
}

const architecture = () => architectureOf(trainRun().spec.recipe, 2);
const weightsOf = (seed: number): StateDict => initialiseWeights(architecture(), seed);
const facts = (channelOrder: 'rgb' | 'bgr' = 'rgb') => ({
  architecture: architecture().name,
  labels: dataset.classes,
  preprocessing: { ...preprocessingOf(trainRun().spec.recipe, dataset), channelOrder },
});

async function commitEpoch({ store }: RunLedger, epoch: number, seed: number): Promise<string> {
  const key = `checkpoints/00000${epoch}.token00000.safetensors`;
  const { recipe } = trainRun().spec;
  const header = { epoch, step: 5, seed: 0, recipe, datasetDigest: dataset.digest };
  await store.put(
    key,
    encodeCheckpoint({ weights: weightsOf(seed), velocities: weightsOf(9) }, header, facts()),
  );
  const checkpoint = { key, bytes: 1, digest: 'sha256:00', rows: 0 };
  await new TrainingLedger(store).commitEpoch(fakeEpochCommit(epoch, 0.5, { checkpoint }));
  return key;
}

/** The filters of weights, drawn here. */
async function drawn(weights: StateDict): Promise<Uint8Array> {
  const { data = new Float32Array(), shape = [] } = weights.get('features.0.weight') ?? {};
  const { pixels, width, height } = layOutImages(filterImages(data, shape), { gap: 2, upscale: 6 });
  return encodePng(pixels, { width, height, channels: 3 });
}

describe('filters', { timeout: 60_000 }, () => {
  it('are those of the newest epoch, then of the best model where that was removed', async () => {
    const ledger = await submit('filters');
    expect((await errorOf(host.filters(ledger.out))).code).toBe('OBJECT_NOT_FOUND');
    await commitEpoch(ledger, 1, 1);
    const first = await host.filters(ledger.out);
    expect([first.contentType, await shape(first.bytes)]).toEqual(['image/png', ['png', 130, 130]]);
    expect(Buffer.compare(first.bytes, await drawn(weightsOf(1)))).toBe(0);
    const key = await commitEpoch(ledger, 2, 2);
    expect(Buffer.compare((await host.filters(ledger.out)).bytes, await drawn(weightsOf(2)))).toBe(0);
    await ledger.store.put('best.safetensors', writeSafetensors(weightsOf(3), describeModel(facts())));
    await ledger.store.delete(key);
    expect(Buffer.compare((await host.filters(ledger.out)).bytes, await drawn(weightsOf(3)))).toBe(0);
  });

  it('have their true colours where the model takes BGR', async () => {
    const ledger = await submit('bgr');
    const weights = new Map(weightsOf(0));
    const data = new Float32Array(16 * 75);
    // Of every kernel only the last channel, which is red to a model of BGR pixels.
    for (let filter = 0; filter < 16; filter += 1) data.fill(1, filter * 75 + 50, filter * 75 + 75);
    weights.set('features.0.weight', { shape: [16, 3, 5, 5], data });
    await ledger.store.put('best.safetensors', writeSafetensors(weights, describeModel(facts('bgr'))));
    const reversed = new Float32Array(16 * 75);
    for (let filter = 0; filter < 16; filter += 1) reversed.fill(1, filter * 75, filter * 75 + 25);
    const expected = await drawn(new Map([['features.0.weight', { shape: [16, 3, 5, 5], data: reversed }]]));
    expect(Buffer.compare((await host.filters(ledger.out)).bytes, expected)).toBe(0);
  });

  it('are refused for a run of another kind, and of a damaged model', async () => {
    const out = await workspace.shardOf([{ uri: 'file:///none.png' }]);
    expect((await errorOf(host.filters(out))).code).toBe('USAGE');
    const ledger = await submit('damaged');
    await ledger.store.put('best.safetensors', new Uint8Array(20));
    expect((await errorOf(host.filters(ledger.out))).code).toBe('MODEL_CORRUPT');
  });
});

describe('a minibatch', { timeout: 120_000 }, () => {
  it('is the one that the network sees, with its labels', async () => {
    const { out } = await submit('batches');
    const signal = new AbortController().signal;
    const setup = await setUpTraining(trainRun(), workspace.resolver, signal);
    for (const [epoch, step] of [
      [1, 0],
      [2, 3],
    ] as const) {
      const expected = await drawBatch(setup, epoch, step, signal);
      const picture = await host.minibatch(out, epoch, step);
      expect([picture.contentType, picture.labels]).toEqual(['image/png', expected.labels]);
      expect(Buffer.compare(picture.bytes, expected.picture)).toBe(0);
      expect(await host.minibatch(out, epoch, step)).toBe(picture);
    }
  });

  it.each([
    [0, 0],
    [3, 0],
    [1, 5],
    [1, -1],
    [1.5, 0],
  ])('is refused where there is none: epoch %d, step %d', async (epoch, step) => {
    const { out } = await submit(`none-${epoch}-${step}`);
    const error = await errorOf(host.minibatch(out, epoch, step));
    expect(error.code).toBe('USAGE');
    expect(error.message).toContain('expected an epoch from 1 to 2 and a step from 0 to 4');
  });

  it('says what is wrong with the dataset', async () => {
    const run = trainRun();
    const changed = { ...run.spec, dataset: { ...run.spec.dataset, digest: 'sha256:22' } };
    const { out } = await submit('changed', { ...run, spec: changed });
    expect((await errorOf(host.minibatch(out, 1, 0))).code).toBe('DATASET_CHANGED');
  });
});

describe('thumbnails of an evaluate run', { timeout: 60_000 }, () => {
  it('are images of its dataset, read out of its tars', async () => {
    const opened = await openDataset(workspace.resolver, workspace.at('dataset'));
    const { spec, ...rest } = fakeRun();
    const run: EvaluateRun = {
      ...rest,
      spec: {
        ...spec,
        kind: 'evaluate',
        dataset: { uri: opened.uri, digest: dataset.digest },
        split: 'val',
        source: { uri: `${opened.uri}val/`, include: [], exclude: [] },
      },
    };
    const out = await workspace.planAs(run, datasetSource(opened, 'val'));
    const count = readMembers(workspace.at('dataset')).filter(({ split }) => split === 'val').length;
    expect(count).toBeGreaterThan(1);
    for (let index = 0; index < count; index += 1) {
      expect(await shape((await host.thumbnail(out, 0, index)).bytes)).toEqual(['webp', 48, 48]);
    }
    rmSync(workspace.at('dataset', 'val'), { recursive: true });
    expect((await errorOf(host.thumbnail(out, 0, 0, 20))).code).toBe('ITEM_NOT_FOUND');
  });
});
