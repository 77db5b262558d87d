import { beforeAll, describe, expect, it } from 'vitest';
import type { Dataset } from '../../../src/contract/dataset.ts';
import type { TrainRun } from '../../../src/contract/run.ts';
import { NO_TOTALS } from '../../../src/pipeline/training/epoch-meter.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import type { EpochStart } from '../../../src/workers/compute/find-start.ts';
import { Trainers } from '../../../src/workers/compute/trainers.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../../pipeline/prepare/support.ts';
import { TestStores } from '../../pipeline/source/support.ts';
import { submittedTrainRun } from '../../support/fake-training.ts';
import { smallModel } from '../../support/workspace.ts';

const NEVER = new AbortController().signal;
const FIRST: EpochStart = {
  epoch: 1,
  from: { step: 0, totals: NO_TOTALS },
  checkpoint: null,
  errorsBefore: [],
};

const resolver = new TestStores();
const store = resolver.open('memory://trainers/');
let dataset: Dataset;
let run: TrainRun;

beforeAll(async () => {
  ({ dataset } = await prepareDataset(resolver, fakePrepareRun(), await twoClasses(resolver, 8)));
  run = submittedTrainRun(dataset);
});

/** Closed after the test. */
async function withTrainers(work: (trainers: Trainers) => Promise<void>): Promise<void> {
  const trainers = new Trainers({
    resolver,
    engine: 'onnxruntime',
    device: 'cpu',
    threads: 1,
    tensorflowDirectory: undefined,
    onNotice: () => {},
  });
  try {
    await work(trainers);
  } finally {
    await trainers.drop();
  }
}

/** Where the second epoch starts, from a file at this key. */
function startFrom(key: string, digest: string, place = { epoch: 1, step: 9 }): EpochStart {
  const object = { key, bytes: 1, digest, rows: 1 };
  return { ...FIRST, epoch: 2, checkpoint: { object, ...place }, errorsBefore: [0.5] };
}

const headerOf = ({ spec }: TrainRun, epoch: number, step: number) => ({
  epoch,
  step,
  seed: spec.seed,
  recipe: spec.recipe,
  datasetDigest: spec.dataset.digest,
});

describe('Trainers', { timeout: 60_000 }, () => {
  it('goes on with the trainer of the epoch before where it stands at the checkpoint that counts', () =>
    withTrainers(async (trainers) => {
      const first = await trainers.use(run, FIRST, store, NEVER);
      trainers.rest('sha256:ours');
      // No such file is read.
      const second = await trainers.use(run, startFrom('checkpoints/absent', 'sha256:ours'), store, NEVER);
      expect(second.device).toBe(first.device);
      expect(second.setup).toBe(first.setup);
    }));

  it('starts from the checkpoint that counts where another attempt’s does', () =>
    withTrainers(async (trainers) => {
      const first = await trainers.use(run, FIRST, store, NEVER);
      const theirs = await first.device.checkpoint(headerOf(run, 1, 9));
      await store.put('checkpoints/theirs', theirs);
      trainers.rest('sha256:ours');
      const second = await trainers.use(run, startFrom('checkpoints/theirs', sha256(theirs)), store, NEVER);
      expect(second.device).not.toBe(first.device);
      expect(sha256(await second.device.checkpoint(headerOf(run, 1, 9)))).toBe(sha256(theirs));
    }));

  it('does not go on with a trainer that was left in the middle of an epoch', () =>
    withTrainers(async (trainers) => {
      const first = await trainers.use(run, FIRST, store, NEVER);
      const again = await trainers.use(run, FIRST, store, NEVER);
      expect(again.device).not.toBe(first.device);
      await trainers.drop();
      const fresh = await trainers.use(run, FIRST, store, NEVER);
      expect(fresh.device).not.toBe(again.device);
      await expect(again.device.checkpoint(headerOf(run, 1, 1))).rejects.toThrow('terminated');
    }));

  it('refuses a checkpoint that is damaged, of another place, or of another recipe', () =>
    withTrainers(async (trainers) => {
      const { device } = await trainers.use(run, FIRST, store, NEVER);
      const file = await device.checkpoint(headerOf(run, 1, 9));
      await store.put('checkpoints/one', file);
      const refuse = (other: TrainRun, start: EpochStart) =>
        expect(trainers.use(other, start, store, NEVER)).rejects;
      await refuse(run, startFrom('checkpoints/one', 'sha256:00')).toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: `memory://trainers/checkpoints/one: expected a file with the digest sha256:00, got ${sha256(file)}`,
      });
      await refuse(run, startFrom('checkpoints/one', sha256(file), { epoch: 1, step: 8 })).toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: 'memory://trainers/checkpoints/one: expected step 8, got 9',
      });
      const other = submittedTrainRun(dataset, { momentum: 0.5 });
      await refuse(other, startFrom('checkpoints/one', sha256(file))).toMatchObject({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringContaining('expected recipeDigest sha256:') as string,
      });
      await refuse(run, startFrom('checkpoints/none', sha256(file))).toMatchObject({
        code: 'OBJECT_NOT_FOUND',
      });
    }));

  it('refuses weights to start from that are no longer those of the submission', () =>
    withTrainers(async (trainers) => {
      const uri = 'memory://trainers/init.safetensors';
      await store.put('init.safetensors', smallModel());
      const init = (digest: string) => submittedTrainRun(dataset, {}, { init: { uri, digest } });
      await expect(trainers.use(init('sha256:00'), FIRST, store, NEVER)).rejects.toMatchObject({
        code: 'MODEL_DIGEST_CHANGED',
      });
      const { device } = await trainers.use(init(sha256(smallModel())), FIRST, store, NEVER);
      expect((await device.checkpoint(headerOf(run, 1, 1))).length).toBeGreaterThan(1_000);
    }));

  it('stops reading when it is told to, and can be used again', () =>
    withTrainers(async (trainers) => {
      const reason = new Error('stop');
      await expect(trainers.use(run, FIRST, store, AbortSignal.abort(reason))).rejects.toBe(reason);
      expect((await trainers.use(run, FIRST, store, NEVER)).setup.stepsPerEpoch).toBeGreaterThan(0);
    }));
});
