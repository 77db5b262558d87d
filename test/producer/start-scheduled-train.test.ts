import { beforeEach, describe, expect, it, vi } from 'vitest';
import { trainScheduleJob, type TrainScheduleJob } from '../../src/contract/jobs.ts';
import { failureDocument } from '../../src/contract/ledger.ts';
import { isTrainRun } from '../../src/contract/run.ts';
import { trainSummaryDocument } from '../../src/contract/training.ts';
import { startScheduledTrain } from '../../src/producer/start-scheduled-train.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../pipeline/prepare/support.ts';
import { TestStores } from '../pipeline/source/support.ts';
import { smallModel } from '../support/workspace.ts';

const SCHEDULE: TrainScheduleJob = {
  schema: trainScheduleJob.id,
  dataset: 'memory://dataset/',
  out: 'memory://nightly/',
  recipe: 'alexnet-small',
  settings: ['batchSize=4', 'epochs=1'],
  seed: 7,
  checkpointSteps: 100,
  keepCheckpoints: 0,
  priority: 30,
};

let stores: TestStores;
const queues = {
  addEpochJob: vi.fn(async ({ run }: { run: string; priority: number }) => `job of ${run}`),
  findEpochJob: vi.fn(async () => null),
};

beforeEach(async () => {
  vi.clearAllMocks();
  stores = new TestStores();
  await prepareDataset(stores, fakePrepareRun(), await twoClasses(stores, 8));
});

const start = (schedule: Partial<TrainScheduleJob> = {}) =>
  startScheduledTrain({ ...SCHEDULE, ...schedule }, stores, new RunIndex(stores, 'memory://home/'), queues);

const ledgerOf = (run: string) => new RunLedger(stores.open(`memory://nightly/${run}/`));

async function initOf(id: string) {
  const run = await ledgerOf(id).readRun();
  return isTrainRun(run) ? run.spec.init : null;
}

/** Ends a run with a model of its own. */
async function finish(run: string, seed: number): Promise<Uint8Array> {
  const { store } = ledgerOf(run);
  const best = smallModel(2, seed);
  await store.put('best.safetensors', best);
  await new TrainingLedger(store).createSummary({
    schema: trainSummaryDocument.id,
    run,
    epochs: 1,
    stoppedEarly: false,
    best: { epoch: 1, top1Error: 0.1, top5Error: 0, model: 'best.safetensors', digest: sha256(best) },
    last: { epoch: 1, model: 'last.safetensors', digest: sha256(best) },
    items: 8,
    startedAt: '2026-01-02T03:04:05.000Z',
    finishedAt: '2026-01-02T03:04:06.000Z',
    seconds: 1,
    imagesPerSecond: 8,
  });
  return best;
}

describe('startScheduledTrain', () => {
  it('starts a run in a folder of its own, and puts it on the queue', async () => {
    const run = await start();
    expect((await ledgerOf(run).readRun()).run).toBe(run);
    expect(queues.addEpochJob).toHaveBeenCalledOnce();
    expect(queues.addEpochJob.mock.calls[0]?.[0]).toMatchObject({
      run,
      out: `memory://nightly/${run}/`,
      epoch: 1,
      priority: 30,
    });
    expect(await initOf(run)).toBeUndefined();
  });

  it('starts from the best model of the newest run that is done', async () => {
    const first = await start();
    await finish(first, 1);
    const second = await start();
    const best = await finish(second, 2);
    const third = await start();
    expect(new Set([first, second, third]).size).toBe(3);
    expect((await initOf(second))?.uri).toBe(`memory://nightly/${first}/best.safetensors`);
    expect(await initOf(third)).toEqual({
      uri: `memory://nightly/${second}/best.safetensors`,
      digest: sha256(best),
    });
  });

  it('starts the first run from the model it is given', async () => {
    stores.put('memory://models/init.safetensors', smallModel());
    const first = await start({ init: 'memory://models/init.safetensors' });
    expect((await initOf(first))?.uri).toBe('memory://models/init.safetensors');
    await finish(first, 1);
    const second = await start({ init: 'memory://models/init.safetensors' });
    expect((await initOf(second))?.uri).toContain(first);
  });

  it('does not overtake a run that still goes on, and puts it on the queue should it have been lost', async () => {
    const first = await start();
    expect(await start()).toBe(first);
    expect(queues.addEpochJob.mock.calls.map(([job]) => job.run)).toEqual([first, first]);
  });

  it('goes on after a run that failed or was cancelled, from the last that is done', async () => {
    const done = await start();
    await finish(done, 1);
    const failed = await start();
    await ledgerOf(failed).writeFailure({
      schema: failureDocument.id,
      run: failed,
      failedAt: '2026-01-02T03:04:05.000Z',
      code: 'LOSS_NOT_FINITE',
      message: 'NaN',
      shards: [],
    });
    const cancelled = await start();
    expect(cancelled).not.toBe(failed);
    await ledgerOf(cancelled).cancel(cancelled, new Date());
    const next = await start();
    expect(next).not.toBe(cancelled);
    expect((await initOf(next))?.uri).toBe(`memory://nightly/${done}/best.safetensors`);
  });

  it('says why it cannot start', async () => {
    await expect(start({ dataset: 'memory://nowhere/' })).rejects.toMatchObject({
      code: 'DATASET_NOT_FOUND',
    });
    expect(queues.addEpochJob).not.toHaveBeenCalled();
  });
});
