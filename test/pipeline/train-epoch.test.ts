import fc from 'fast-check';
import { setTimeout as later } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import type { StepMetrics, TrainProgress } from '../../src/contract/training.ts';
import { Gate } from '../../src/pipeline/batch/gate.ts';
import { Semaphore } from '../../src/pipeline/batch/semaphore.ts';
import { SlabPool } from '../../src/pipeline/batch/slab-pool.ts';
import { readSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import { trainEpoch } from '../../src/pipeline/train-epoch.ts';
import { NO_TOTALS } from '../../src/pipeline/training/epoch-meter.ts';
import type { EpochDraft, EpochTask, StepDraft } from '../../src/pipeline/training/epoch-task.ts';
import { TRAINING_SLABS } from '../../src/pipeline/training/training-batches.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { FAKE_SIDE, FakeDevice, fakeSetup, fakeSplit, tinyTrainRun } from '../support/fake-training.ts';

const STEPS = 5;
const STOP = new ImagemillError('SHUTDOWN', 'stop');
const run = tinyTrainRun();
const { recipe } = run.spec;

/** An epoch of 5 steps of 2 micro-batches of 2 images, and 3 images to validate on. */
async function scene(changes: Partial<EpochTask> = {}, weight?: number) {
  const [train, validation] = await Promise.all([fakeSplit(STEPS * recipe.batchSize), fakeSplit(3)]);
  const store = new MemoryStore(new MemoryBucket('out'));
  const device = new FakeDevice(recipe, weight);
  const stop = new AbortController();
  const slabs = new SlabPool(recipe.microBatchSize * FAKE_SIDE * FAKE_SIDE * 3, TRAINING_SLABS);
  const drafts: StepDraft[] = [];
  const progress: TrainProgress[] = [];
  const task: EpochTask = {
    epoch: 1,
    from: { step: 0, totals: NO_TOTALS },
    errorsBefore: [],
    token: 'token00000',
    out: store,
    stopping: stop.signal,
    turn: () => Promise.resolve(),
    onProgress: (value) => progress.push(value),
    async commitStep(draft) {
      drafts.push(draft);
    },
    ...changes,
  };
  const setup = fakeSetup(run, train, validation, STEPS);
  const epoch = (): Promise<EpochDraft> =>
    trainEpoch(task, setup, device, { slabs, slots: new Semaphore(4) });
  return { train, validation, store: task.out, device, stop, slabs, drafts, progress, epoch };
}

/** Takes its time. */
class SlowStore extends MemoryStore {
  override async putStream(...args: Parameters<MemoryStore['putStream']>): Promise<number> {
    await later(40);
    return super.putStream(...args);
  }
}

type Scene = Awaited<ReturnType<typeof scene>>;

async function rowsOf(
  { store }: Scene,
  drafts: readonly Pick<StepDraft, 'metrics'>[],
): Promise<StepMetrics[]> {
  const texts = await Promise.all(
    drafts.map(async ({ metrics }) => new TextDecoder().decode(await store.get(metrics.key))),
  );
  return texts.flatMap((text) =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as StepMetrics),
  );
}

async function weightIn({ store }: Scene, { checkpoint }: Pick<StepDraft, 'checkpoint'>): Promise<number> {
  return readSafetensors(await store.get(checkpoint.key), '').tensors.get('weight')?.data[0] ?? Number.NaN;
}

/** Every slab is back in the pool, once. */
async function expectSlabsBack({ slabs }: Scene): Promise<void> {
  await Promise.all(Array.from({ length: TRAINING_SLABS }, () => slabs.acquire()));
  const surplus = await Promise.race([slabs.acquire().then(() => true), later(5).then(() => false)]);
  expect(surplus).toBe(false);
}

describe('trainEpoch', () => {
  it('trains every micro-batch in order, validates, and writes what the device holds', async () => {
    const at = await scene();
    const draft = await at.epoch();
    expect(at.device.trained).toEqual(
      Array.from({ length: STEPS * 2 }, (_, index) => ({ epoch: 1, step: index >> 1, micro: index % 2 })),
    );
    expect(at.train.read.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, item) => item));
    expect(at.device.evaluated).toBe(3);
    expect(draft).toMatchObject({
      epoch: 1,
      steps: STEPS,
      learningRate: recipe.learningRate,
      train: { items: 20, top1Error: 0.5, top5Error: 0 },
      checkpoint: { key: 'checkpoints/000001.token00000.safetensors', rows: 1 },
    });
    expect(draft.validation).toMatchObject({ items: 3, top5Error: 0 });
    expect(draft.validation?.loss).toBeCloseTo(0.2, 12);
    expect(await weightIn(at, draft)).toBe(at.device.weight);
    expect(at.drafts.map(({ step }) => step)).toEqual([2, 4]);
    expect((await rowsOf(at, [...at.drafts, draft])).map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
    await expectSlabsBack(at);
  });

  it('comes to the same bytes and sums wherever it is stopped, and goes on from there', async () => {
    const undisturbed = await scene();
    const losses = Array.from({ length: STEPS * 2 }, (_, index) => 1 / (index + 3));
    const lossOf = ({ position: { step, micro } }: { position: { step: number; micro: number } }) =>
      losses[step * 2 + micro] ?? 0;
    undisturbed.device.onTrain = lossOf;
    const expected = await undisturbed.epoch();
    const stops = fc.array(fc.integer({ min: 0, max: STEPS * 2 - 1 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(stops, async (places) => {
        const bucket = new MemoryStore(new MemoryBucket('out'));
        let from: EpochTask['from'] = { step: 0, totals: NO_TOTALS };
        let weight = 1;
        const commits: StepDraft[] = [];
        for (const [attempt, place] of places.toSorted((a, b) => a - b).entries()) {
          if (from.step === STEPS) break;
          const at = await scene({ from, out: bucket, token: `token0000${attempt}` }, weight);
          at.device.onTrain = (request) => {
            const { step, micro } = request.position;
            if (step * 2 + micro >= place) at.stop.abort(STOP);
            return lossOf(request);
          };
          await expect(at.epoch()).rejects.toMatchObject({ code: 'SHUTDOWN' });
          await expectSlabsBack(at);
          commits.push(...at.drafts);
          const last = at.drafts.at(-1);
          if (last === undefined) continue;
          from = { step: last.step, totals: last.totals };
          weight = await weightIn(at, last);
        }
        const at = await scene({ from, out: bucket, token: 'token0last' }, weight);
        at.device.onTrain = lossOf;
        const draft = await at.epoch();
        expect(draft.checkpoint.digest).toBe(expected.checkpoint.digest);
        expect(draft.train).toEqual(expected.train);
        expect(draft.validation).toEqual(expected.validation);
        const rows = await rowsOf(at, [...commits, ...at.drafts, draft]);
        expect(rows.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
      }),
      { numRuns: 25 },
    );
  });

  it('writes a checkpoint of the steps that are done when data no longer comes, and it shall stop', async () => {
    const at = await scene();
    let reads = 0;
    at.train.onRead = (_, signal) => {
      reads += 1;
      // The second micro-batch of the fourth step never arrives.
      if (reads <= 14) return Promise.resolve();
      return new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      });
    };
    const outcome = expect(at.epoch()).rejects.toThrow('after step 3 of epoch 1');
    while (at.device.trained.length < 7) await later(1);
    at.stop.abort(STOP);
    await outcome;
    expect(at.drafts.map(({ step }) => step)).toEqual([2, 3]);
    expect(at.drafts.at(-1)?.totals.items).toBe(12);
    await expectSlabsBack(at);
  });

  it('stops in the middle of a validation with the state after the last step', async () => {
    const at = await scene();
    at.device.onEvaluate = () => {
      at.stop.abort(STOP);
      return 0.2;
    };
    await expect(at.epoch()).rejects.toMatchObject({ code: 'SHUTDOWN' });
    const last = at.drafts.at(-1);
    expect(last?.step).toBe(STEPS);
    expect(at.device.evaluated).toBe(2);

    const heir = await scene(
      { from: { step: STEPS, totals: last?.totals ?? NO_TOTALS }, out: at.store, token: 'token11111' },
      at.device.weight,
    );
    const draft = await heir.epoch();
    expect(heir.device.trained).toEqual([]);
    expect(draft.checkpoint.digest).toBe(last?.checkpoint.digest);
    expect(draft).toMatchObject({ train: { items: 20 }, validation: { items: 3 }, metrics: { rows: 0 } });
  });

  it('has nothing to write when it stops where it began', async () => {
    const at = await scene({ from: { step: 3, totals: NO_TOTALS } });
    at.stop.abort(STOP);
    await expect(at.epoch()).rejects.toMatchObject({ code: 'SHUTDOWN' });
    expect(at.device.trained).toEqual([]);
    expect(at.drafts).toEqual([]);
  });

  it('holds at a batch boundary until it is its turn, and does not count that time', async () => {
    const gate = new Gate();
    let boundaries = 0;
    const at = await scene({
      turn() {
        boundaries += 1;
        if (boundaries === 3) gate.shut();
        return gate.passage();
      },
    });
    const epoch = at.epoch();
    while (gate.isOpen) await later(1);
    await later(150);
    expect(at.device.trained.at(-1)).toEqual({ epoch: 1, step: 1, micro: 1 });
    gate.open();
    const draft = await epoch;
    expect(at.device.trained).toHaveLength(STEPS * 2);
    expect(draft.seconds).toBeLessThan(0.15);
    // Before every step, and before every batch of the validation.
    expect(boundaries).toBe(STEPS + 2);
  });

  it('ends with the fault of a checkpoint that could not be committed', async () => {
    const full = new ImagemillError('STORE_FULL', 'no room');
    const at = await scene({ commitStep: () => Promise.reject(full) });
    await expect(at.epoch()).rejects.toBe(full);
    expect(await at.store.head('checkpoints/000001.token00000.safetensors')).toBeNull();
    await expectSlabsBack(at);
  });

  it('ends with the fault of the device, or of the data, and gives every slab back', async () => {
    const failed = new ImagemillError('ENGINE_FAILED', 'broken');
    const at = await scene();
    at.device.onTrain = ({ position }) => (position.step === 3 ? Promise.reject(failed) : 0.1);
    await expect(at.epoch()).rejects.toBe(failed);
    await expectSlabsBack(at);

    const changed = new ImagemillError('DATASET_CHANGED', 'gone');
    const other = await scene();
    other.train.onRead = () => (other.train.read.length > 9 ? Promise.reject(changed) : Promise.resolve());
    await expect(other.epoch()).rejects.toBe(changed);
    await expectSlabsBack(other);
  });

  it('stops at a loss that is not finite, with the checkpoint that is on its way made safe', async () => {
    const at = await scene({ out: new SlowStore(new MemoryBucket('slow')) });
    at.device.onTrain = ({ position }) => (position.step === 3 ? Number.NaN : 0.1);
    await expect(at.epoch()).rejects.toMatchObject({
      code: 'LOSS_NOT_FINITE',
      message: expect.stringMatching(
        /^epoch 1, step 3: expected a finite loss, got NaN;.*imagemill train-batch r-\w+ --epoch 1 --step 3 --png/,
      ) as string,
    });
    expect(at.drafts.map(({ step }) => step)).toEqual([2]);
    await expectSlabsBack(at);
  });

  it('never makes a checkpoint of weights that are not finite', async () => {
    const at = await scene();
    at.device.onTrain = ({ position }) => {
      // The step's own loss is fine; what it leaves is not.
      if (position.step === 4) at.device.weight = Number.POSITIVE_INFINITY;
      return 0.1;
    };
    await expect(at.epoch()).rejects.toMatchObject({
      code: 'LOSS_NOT_FINITE',
      message: expect.stringMatching(/^epoch 1, step 4: expected finite weights after it/) as string,
    });
    expect(at.drafts.map(({ step }) => step)).toEqual([2, 4]);
    expect(await at.store.head('checkpoints/000001.token00000.safetensors')).toBeNull();
  });

  it('refuses an epoch whose validation has no finite loss', async () => {
    const at = await scene();
    at.device.onEvaluate = () => Number.POSITIVE_INFINITY;
    await expect(at.epoch()).rejects.toMatchObject({
      code: 'LOSS_NOT_FINITE',
      message: expect.stringMatching(/^epoch 1, step 4: .* validation after it, got Infinity/) as string,
    });
  });

  it('says that it waits while a checkpoint is written, so that no watchdog takes it for dead', async () => {
    const at = await scene({ out: new SlowStore(new MemoryBucket('slow')) });
    at.device.onCheckpoint = ({ step }) => {
      if (step === STEPS) expect(at.progress.at(-1)).toMatchObject({ phase: 'waiting', step: STEPS });
    };
    await at.epoch();
    // The third checkpoint waits for the second, the second for the first.
    const phases = at.progress.map(({ phase }) => phase);
    expect(phases.slice(0, -1)).toContain('waiting');
    expect(phases.at(-1)).toBe('waiting');
    expect(at.progress.filter(({ phase }) => phase === 'training').map(({ step }) => step)).toEqual([
      1, 2, 3, 4, 5,
    ]);
    expect(phases).toContain('validating');
  });
});
