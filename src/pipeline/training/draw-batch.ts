import { ImagemillError } from '../../contract/errors.ts';
import { Semaphore } from '../batch/semaphore.ts';
import { SlabPool } from '../batch/slab-pool.ts';
import { layOutImages } from '../charts/image-grid.ts';
import { encodePng } from '../decode/encode-png.ts';
import { previewBatch } from '../engine/onnxruntime/preview.ts';
import { fillTrainingMicroBatch, microBatchesOfStep, TRAINING_SLABS } from './training-batches.ts';
import type { TrainingSetup } from './training-setup.ts';

const CONCURRENCY = 8;

export interface DrawnBatch {
  /** PNG: the images of the batch on a grid, row by row. */
  readonly picture: Uint8Array;
  /** Class names, in the order of the grid. */
  readonly labels: string[];
}

/**
 * Draws a minibatch as the network sees it: the same bytes, through the same graph of colour augmentation, rounded.
 * @param epoch from 1
 * @param step batch of the epoch, from 0
 * @throws ImagemillError USAGE where the run has no such batch, DATASET_CHANGED, STORE_*
 */
export async function drawBatch(
  setup: TrainingSetup,
  epoch: number,
  step: number,
  signal: AbortSignal,
): Promise<DrawnBatch> {
  const { epochs } = setup.run.spec.recipe;
  const isBatch =
    Number.isInteger(step) && step >= 0 && step < setup.stepsPerEpoch && Number.isInteger(epoch);
  if (!isBatch || epoch < 1 || epoch > epochs) {
    throw new ImagemillError(
      'USAGE',
      `expected an epoch from 1 to ${epochs} and a step from 0 to ${setup.stepsPerEpoch - 1}, got ${epoch} and ${step}`,
    );
  }
  const { height, width } = setup.trainer.architecture.input;
  const { microBatchSize } = setup.run.spec.recipe;
  const imageBytes = height * width * 3;
  const resources = {
    slabs: new SlabPool(microBatchSize * imageBytes, TRAINING_SLABS),
    slots: new Semaphore(CONCURRENCY),
    // The picture is made on ONNX Runtime.
    mirrorsLater: false,
  };
  const images: Uint8Array[] = [];
  const labels: string[] = [];
  for (const [micro, items] of microBatchesOfStep(setup, epoch, step).entries()) {
    const filled = await fillTrainingMicroBatch(setup, items, { epoch, step, micro }, resources, signal);
    const pixels = await previewBatch(setup.trainer, new Uint8Array(filled.slab), filled.batch);
    for (const [row, label] of filled.batch.labels.entries()) {
      images.push(pixels.slice(row * imageBytes, (row + 1) * imageBytes));
      labels.push(setup.dataset.classes[label] ?? String(label));
    }
    resources.slabs.release(filled.slab);
  }
  const grid = layOutImages({ images, width, height }, { upscale: 1 });
  const picture = await encodePng(grid.pixels, { width: grid.width, height: grid.height, channels: 3 });
  return { picture, labels };
}
