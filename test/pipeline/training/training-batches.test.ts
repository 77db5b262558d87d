import { describe, expect, it } from 'vitest';
import { Semaphore } from '../../../src/pipeline/batch/semaphore.ts';
import { SlabPool } from '../../../src/pipeline/batch/slab-pool.ts';
import {
  MICRO_BATCHES_AHEAD,
  microBatchesOfStep,
  TRAINING_SLABS,
  trainingBatches,
  validationBatches,
  type FilledMicroBatch,
} from '../../../src/pipeline/training/training-batches.ts';
import { FAKE_SIDE, fakeSetup, fakeSplit, tinyTrainRun } from '../../support/fake-training.ts';

const NEVER = new AbortController().signal;
const STEPS = 6;
const SLAB_BYTES = 2 * FAKE_SIDE * FAKE_SIDE * 3;

async function scene() {
  const [train, validation] = await Promise.all([fakeSplit(STEPS * 4 + 3), fakeSplit(5)]);
  const slabs = new SlabPool(SLAB_BYTES, TRAINING_SLABS);
  const resources = { slabs, slots: new Semaphore(4), mirrorsLater: false };
  return { train, validation, setup: fakeSetup(tinyTrainRun(), train, validation, STEPS), resources };
}

/** Everything that decides what the device computes. */
const describeBatch = ({ slab, batch, position, count }: FilledMicroBatch) => ({
  ...position,
  count,
  labels: [...batch.labels],
  pixels: [...new Uint8Array(slab).subarray(0, (count * SLAB_BYTES) / 2)],
});

async function collect(batches: AsyncGenerator<FilledMicroBatch>, slabs: SlabPool) {
  const seen = [];
  for await (const filled of batches) {
    seen.push(describeBatch(filled));
    slabs.release(filled.slab);
  }
  return seen;
}

describe('trainingBatches', () => {
  it('are those of the shuffled epoch, in order: every item at most once, whole batches only', async () => {
    const { setup, resources, train } = await scene();
    const all = await collect(
      trainingBatches(setup, { epoch: 1, fromStep: 0 }, resources, NEVER),
      resources.slabs,
    );
    expect(all.map(({ step, micro }) => [step, micro])).toEqual(
      Array.from({ length: STEPS * 2 }, (_, index) => [index >> 1, index % 2]),
    );
    const items = all.map(({ pixels }) => [pixels[0], pixels[SLAB_BYTES / 2]]);
    expect(items).toEqual(
      Array.from({ length: STEPS }, (_, step) =>
        microBatchesOfStep(setup, 1, step).map((micro) => [...micro]),
      ).flat(),
    );
    expect(new Set(items.flat()).size).toBe(STEPS * 4);
    expect(all.flatMap(({ labels }) => labels)).toEqual(items.flat().map((item) => (item ?? 0) % 2));
    expect(train.read).toHaveLength(STEPS * 4);
  });

  it('are the same from the middle on as from the start, and others in another epoch', async () => {
    const { setup, resources } = await scene();
    const from = (epoch: number, fromStep: number) =>
      collect(trainingBatches(setup, { epoch, fromStep }, resources, NEVER), resources.slabs);
    const all = await from(1, 0);
    expect(await from(1, 4)).toEqual(all.slice(8));
    expect(await from(1, STEPS)).toEqual([]);
    const other = await from(2, 0);
    expect(other.map(({ pixels }) => pixels)).not.toEqual(all.map(({ pixels }) => pixels));
  });

  it('are filled a few ahead and no more, and slabs come back when the reader leaves', async () => {
    const { setup, resources, train } = await scene();
    const batches = trainingBatches(setup, { epoch: 1, fromStep: 0 }, resources, NEVER);
    const first = await batches.next();
    if (first.done === true) throw new Error('expected a batch');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(train.read.length).toBeLessThanOrEqual((MICRO_BATCHES_AHEAD + 1) * 2);
    resources.slabs.release(first.value.slab);
    await batches.return(undefined);
    await Promise.all(Array.from({ length: TRAINING_SLABS }, () => resources.slabs.acquire()));
  });

  it('end with the fault of an item, in its turn', async () => {
    const { setup, resources, train } = await scene();
    const [, bad] = microBatchesOfStep(setup, 1, 2);
    train.onRead = (item) => (item === bad?.[1] ? Promise.reject(new Error('gone')) : Promise.resolve());
    const seen: number[] = [];
    await expect(async () => {
      for await (const { slab, position } of trainingBatches(
        setup,
        { epoch: 1, fromStep: 0 },
        resources,
        NEVER,
      )) {
        seen.push(position.step * 2 + position.micro);
        resources.slabs.release(slab);
      }
    }).rejects.toThrow('gone');
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    await Promise.all(Array.from({ length: TRAINING_SLABS }, () => resources.slabs.acquire()));
  });
});

describe('validationBatches', () => {
  it('are the whole split in its order, the last one shorter', async () => {
    const { setup, resources } = await scene();
    const all = await collect(validationBatches(setup, 1, resources, NEVER), resources.slabs);
    expect(all.map(({ count }) => count)).toEqual([2, 2, 1]);
    expect(all.flatMap(({ pixels, count }) => [pixels[0], ...(count === 2 ? [pixels.at(-1)] : [])])).toEqual([
      0, 1, 2, 3, 4,
    ]);
  });
});
