import { ImagemillError } from '../contract/errors.ts';
import type { EpochMetrics, StepMetrics, TrainProgress, TrainingTotals } from '../contract/training.ts';
import type { TrainedSlab } from './engine/trainer-thread.ts';
import { learningRateAt } from './recipe/schedule.ts';
import { CheckpointWriter, waitingProgress } from './training/checkpoint-writer.ts';
import { addBatch, EpochMeter, metricsOf, NO_TOTALS, rateOf, waitShareOf } from './training/epoch-meter.ts';
import type { EpochDraft, EpochTask, TrainingDevice } from './training/epoch-task.ts';
import { lossNotFinite } from './training/finite.ts';
import { StagedBatches } from './training/staged-batches.ts';
import {
  trainingBatches,
  validationBatches,
  type BatchResources,
  type FilledMicroBatch,
} from './training/training-batches.ts';
import type { TrainingSetup } from './training/training-setup.ts';

/** An epoch in progress. */
interface Epoch {
  readonly task: EpochTask;
  readonly setup: TrainingSetup;
  readonly device: TrainingDevice;
  readonly resources: BatchResources;
  readonly meter: EpochMeter;
  readonly checkpoints: CheckpointWriter;
  /** Learning rate of a step of this epoch. */
  readonly rateAt: (step: number) => number;
}

/**
 * Trains one epoch from wherever it stands, validates, and writes the checkpoint. Bit-identical however often it is
 * interrupted: order, augmentation and dropout are functions of (seed, epoch, step).
 * @returns what was written; it counts only once it is committed
 * @throws ImagemillError LOSS_NOT_FINITE; SHUTDOWN after a checkpoint where the attempt shall stop; STORE_*,
 *   ENGINE_FAILED, DATASET_CHANGED
 */
export async function trainEpoch(
  task: EpochTask,
  setup: TrainingSetup,
  device: TrainingDevice,
  resources: BatchResources,
): Promise<EpochDraft> {
  const meter = new EpochMeter(task.epoch, task.from.totals);
  const checkpoints = new CheckpointWriter(task, setup, device, meter);
  const rateAt = (step: number) =>
    learningRateAt(setup.run.spec.recipe, {
      epoch: task.epoch,
      step,
      stepsPerEpoch: setup.stepsPerEpoch,
      validationErrors: task.errorsBefore,
    });
  const epoch: Epoch = { task, setup, device, resources, meter, checkpoints, rateAt };
  try {
    await train(epoch);
    const validation = await validate(epoch);
    const files = await checkpoints.end();
    const { totals } = meter;
    return {
      epoch: task.epoch,
      steps: setup.stepsPerEpoch,
      learningRate: rateAt(setup.stepsPerEpoch - 1),
      train: metricsOf(totals),
      validation,
      seconds: totals.seconds,
      imagesPerSecond: rateOf(totals),
      dataWaitShare: waitShareOf(totals),
      ...files,
    };
  } finally {
    await checkpoints.settle();
  }
}

async function train(epoch: Epoch): Promise<void> {
  const { task, setup, device, resources, meter, checkpoints } = epoch;
  const { stepsPerEpoch } = setup;
  const { checkpointSteps } = setup.run.spec;
  const position = { epoch: task.epoch, fromStep: task.from.step };
  const batches = new StagedBatches(
    trainingBatches(setup, position, { ...resources, mirrorsLater: device.mirrors }, task.stopping),
    { device, slabs: resources.slabs, colour: setup.trainer.colour },
  );
  let done = task.from.step;
  try {
    while (done < stepsPerEpoch) {
      await meter.apart(task.turn);
      task.stopping.throwIfAborted();
      const row = await trainStep(epoch, done, batches);
      done += 1;
      task.onProgress(progressOf(row, stepsPerEpoch));
      if (done % checkpointSteps === 0 && done < stepsPerEpoch) await checkpoints.begin(done);
    }
  } catch (error) {
    // Data that no longer comes may end a step in its middle; the weights are then those of the steps before.
    if (isStop(task, error)) await checkpoints.stop(done);
    throw error;
  } finally {
    await batches.close();
  }
}

async function trainStep(
  { task, setup, meter, rateAt }: Epoch,
  step: number,
  batches: StagedBatches,
): Promise<StepMetrics> {
  const { batchSize, microBatchSize } = setup.run.spec.recipe;
  const learningRate = rateAt(step);
  for (let micro = 0; micro < batchSize / microBatchSize; micro++) {
    const next = await meter.waiting(() => batches.next());
    if (next === null) throw new ImagemillError('INTERNAL', 'expected another micro-batch');
    meter.microBatch(await next.train(learningRate));
  }
  const row = meter.endStep(step, learningRate);
  if (Number.isFinite(row.loss)) return row;
  throw lossNotFinite(setup.run, {
    epoch: task.epoch,
    step,
    expected: 'a finite loss',
    got: String(row.loss),
  });
}

async function validate(epoch: Epoch): Promise<EpochMetrics | null> {
  const { task, setup, resources, checkpoints } = epoch;
  const { stepsPerEpoch } = setup;
  if (setup.validation.count === 0) return null;
  let totals: TrainingTotals = NO_TOTALS;
  try {
    for await (const filled of validationBatches(setup, task.epoch, resources, task.stopping)) {
      totals = addBatch(totals, await evaluateOn(filled, epoch));
      task.onProgress({ ...waitingProgress(task.epoch, stepsPerEpoch, stepsPerEpoch), phase: 'validating' });
    }
  } catch (error) {
    if (isStop(task, error)) await checkpoints.stop(stepsPerEpoch);
    throw error;
  }
  const metrics = metricsOf(totals);
  if (Number.isFinite(metrics.loss)) return metrics;
  throw lossNotFinite(setup.run, {
    epoch: task.epoch,
    step: stepsPerEpoch - 1,
    expected: 'a finite loss in the validation after it',
    got: String(metrics.loss),
  });
}

async function evaluateOn(
  { slab, batch, count }: FilledMicroBatch,
  { task, setup, device, resources }: Epoch,
): Promise<TrainedSlab['statistics']> {
  let returned = slab;
  try {
    await task.turn();
    task.stopping.throwIfAborted();
    const labels = new Int32Array(setup.run.spec.recipe.microBatchSize);
    labels.set(batch.labels);
    const result = await device.evaluate(slab, labels, count);
    returned = result.slab;
    return result.statistics;
  } finally {
    resources.slabs.release(returned);
  }
}

/** Whether an error only says that the attempt shall stop. */
function isStop({ stopping }: EpochTask, error: unknown): boolean {
  return stopping.aborted && error === stopping.reason;
}

function progressOf(row: StepMetrics, steps: number): TrainProgress {
  const { epoch, step, loss, top1Error, learningRate, imagesPerSecond } = row;
  return {
    epoch,
    step: step + 1,
    steps,
    loss,
    top1Error,
    learningRate,
    imagesPerSecond,
    phase: 'training',
  };
}
