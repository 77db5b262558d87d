/** Micro-batches of a run, filled ahead of the device: reader ▸ decode ▸ augment ▸ slab. */
import { centreAugmentation, drawAugmentation } from '../augment/draw-augmentation.ts';
import { itemsOfStep } from '../augment/shuffle.ts';
import {
  fillTrainingSlab,
  type TrainingItems,
  type TrainingMicroBatch,
} from '../batch/fill-training-slab.ts';
import { mapAhead } from '../batch/map-ahead.ts';
import type { Semaphore } from '../batch/semaphore.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import type { SplitItems } from '../dataset/read-split.ts';
import type { TrainingPosition } from '../engine/trainer.ts';
import type { TrainingSetup } from './training-setup.ts';

/** Micro-batches that are filled before the device asks for them. */
export const MICRO_BATCHES_AHEAD = 3;
/** Those filled ahead, the one that the device takes up next, the one it trains on, and one on its way back. */
export const TRAINING_SLABS = MICRO_BATCHES_AHEAD + 3;

export interface BatchResources {
  /** Slabs of microBatchSize × H × W × 3 bytes. */
  readonly slabs: SlabPool;
  /** Bounds the images that are read or decoded at a time. */
  readonly slots: Semaphore;
}

export interface TrainingResources extends BatchResources {
  /** Whether the device mirrors images. */
  readonly mirrorsLater: boolean;
}

export interface FilledMicroBatch {
  readonly slab: ArrayBuffer;
  readonly position: TrainingPosition;
  readonly batch: TrainingMicroBatch;
  /** Items in the slab; less than its size in the last one of a validation. */
  readonly count: number;
}

/** The micro-batches of one step, by item: a pure function of the run. */
export function microBatchesOfStep(setup: TrainingSetup, epoch: number, step: number): Uint32Array[] {
  const { batchSize, microBatchSize } = setup.run.spec.recipe;
  const items = itemsOfStep({
    items: setup.train.count,
    batchSize,
    epoch,
    step,
    seed: setup.run.spec.seed,
  });
  return Array.from({ length: batchSize / microBatchSize }, (_, micro) =>
    items.subarray(micro * microBatchSize, (micro + 1) * microBatchSize),
  );
}

/** From a step of an epoch to its end, in order. */
export function trainingBatches(
  setup: TrainingSetup,
  { epoch, fromStep }: { readonly epoch: number; readonly fromStep: number },
  resources: TrainingResources,
  signal: AbortSignal,
): AsyncGenerator<FilledMicroBatch> {
  function* positions(): Iterable<TrainingPosition & { readonly items: Uint32Array }> {
    for (let step = fromStep; step < setup.stepsPerEpoch; step++) {
      const micros = microBatchesOfStep(setup, epoch, step);
      for (const [micro, items] of micros.entries()) yield { epoch, step, micro, items };
    }
  }
  return mapAhead(
    positions(),
    MICRO_BATCHES_AHEAD,
    ({ items, ...position }) => fillTrainingMicroBatch(setup, items, position, resources, signal),
    ({ slab }) => resources.slabs.release(slab),
  );
}

/** One micro-batch as training sees it. */
export async function fillTrainingMicroBatch(
  setup: TrainingSetup,
  items: Uint32Array,
  position: TrainingPosition,
  resources: TrainingResources,
  signal: AbortSignal,
): Promise<FilledMicroBatch> {
  const { recipe, seed } = setup.run.spec;
  const { input } = setup.trainer.architecture;
  const { eigenvalues, eigenvectors } = setup.dataset;
  const augment: Augment = (item, stored) =>
    drawAugmentation(
      recipe.augmentation,
      input,
      stored,
      { seed, epoch: position.epoch, item },
      {
        eigenvalues,
        eigenvectors,
      },
    );
  return fill(setup, setup.train, items, augment, position, resources, signal);
}

/** The whole validation split, in order; rows after the last item are left as they are. */
export function validationBatches(
  setup: TrainingSetup,
  epoch: number,
  resources: BatchResources,
  signal: AbortSignal,
): AsyncGenerator<FilledMicroBatch> {
  const { input } = setup.trainer.architecture;
  const { resize } = setup.preprocessing;
  const resizeTo = resize.kind === 'short-side' ? resize.size : Math.max(input.height, input.width);
  const augment: Augment = (_, stored) => centreAugmentation(resizeTo, input, stored);
  const { microBatchSize } = setup.run.spec.recipe;
  const { count } = setup.validation;
  function* chunks(): Iterable<{ readonly items: Uint32Array; readonly step: number }> {
    for (let first = 0; first < count; first += microBatchSize) {
      const length = Math.min(microBatchSize, count - first);
      yield {
        items: Uint32Array.from({ length }, (_, index) => first + index),
        step: first / microBatchSize,
      };
    }
  }
  return mapAhead(
    chunks(),
    MICRO_BATCHES_AHEAD,
    ({ items, step }) => {
      const position = { epoch, step, micro: 0 };
      return fill(
        setup,
        setup.validation,
        items,
        augment,
        position,
        { ...resources, mirrorsLater: false },
        signal,
      );
    },
    ({ slab }) => resources.slabs.release(slab),
  );
}

type Augment = Parameters<typeof fillTrainingSlab>[3]['augment'];

async function fill(
  setup: TrainingSetup,
  split: SplitItems,
  items: Uint32Array,
  augment: Augment,
  position: TrainingPosition,
  { slabs, slots, mirrorsLater }: TrainingResources,
  signal: AbortSignal,
): Promise<FilledMicroBatch> {
  const slab = await slabs.acquire();
  try {
    const { input } = setup.trainer.architecture;
    const { meanPixel } = setup.dataset;
    const options = { augment, input, slots, signal, meanPixel, mirrorsLater };
    const batch = await fillTrainingSlab(items, itemsOf(split), new Uint8Array(slab), options);
    return { slab, position, batch, count: items.length };
  } catch (error) {
    slabs.release(slab);
    throw error;
  }
}

function itemsOf(split: SplitItems): TrainingItems {
  return {
    readItem: (item, signal) => split.readItem(item, signal),
    sizeOf: (item) => ({ width: split.widths[item] ?? 0, height: split.heights[item] ?? 0 }),
    classOf: (item) => split.classes[item] ?? 0,
  };
}
