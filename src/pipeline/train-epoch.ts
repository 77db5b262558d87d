import { ImagemillError } from '../contract/errors.ts';
import type {
  EpochCommit,
  EpochMetrics,
  StepCommit,
  StepMetrics,
  TrainProgress,
  TrainingTotals,
} from '../contract/training.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { TrainedSlab, TrainRequest } from './engine/trainer-thread.ts';
import type { CheckpointHeader } from './model/checkpoint.ts';
import { learningRateAt } from './recipe/schedule.ts';
import { writeBytes } from './sink/write-bytes.ts';
import { addBatch, EpochMeter, metricsOf, NO_TOTALS, rateOf, waitShareOf } from './training/epoch-meter.ts';
import {
  trainingBatches,
  validationBatches,
  type BatchResources,
  type FilledMicroBatch,
} from './training/training-batches.ts';
import type { TrainingSetup } from './training/training-setup.ts';

/** The device, as this composition sees it. */
export interface TrainingDevice {
  train(slab: ArrayBuffer, request: TrainRequest): Promise<TrainedSlab>;
  evaluate(slab: ArrayBuffer, labels: Int32Array, count: number): Promise<TrainedSlab>;
  checkpoint(header: CheckpointHeader): Promise<Uint8Array>;
}

/** What an attempt made, without what only the committing process knows. */
type Draft<C> = Omit<C, 'schema' | 'run' | 'token' | 'worker' | 'committedAt'>;
export type StepDraft = Draft<StepCommit>;
export type EpochDraft = Draft<EpochCommit>;

export interface EpochTask {
  readonly epoch: number;
  /** Steps that are done, and what they summed up to: the device holds the state after them. */
  readonly from: { readonly step: number; readonly totals: TrainingTotals };
  /** Validation top-1 errors of the epochs before (training errors without a validation split). */
  readonly errorsBefore: readonly number[];
  /** Names the attempt; part of every key it writes. */
  readonly token: string;
  /** The run's directory. */
  readonly out: ObjectStore;
  /** Ends the attempt at once. */
  readonly signal: AbortSignal;
  /** Whether the attempt shall write a checkpoint and end, since its worker stops. */
  readonly isStopping: () => boolean;
  /** Resolves when the device is free for this epoch: at once, unless more urgent work has it. */
  readonly turn: () => Promise<void>;
  onProgress(progress: TrainProgress): void;
  /** Makes a checkpoint count; rejects where it could not be committed. */
  commitStep(draft: StepDraft): Promise<void>;
}

/**
 * Trains one epoch from wherever it stands, validates, and writes the checkpoint. Bit-identical however often it is
 * interrupted: order, augmentation and dropout are functions of (seed, epoch, step).
 * @returns what was written; it counts only once it is committed
 * @throws ImagemillError LOSS_NOT_FINITE; SHUTDOWN after a checkpoint where the worker stops; STORE_*, ENGINE_FAILED,
 *   DATASET_CHANGED
 */
export async function trainEpoch(
  task: EpochTask,
  setup: TrainingSetup,
  device: TrainingDevice,
  resources: BatchResources,
): Promise<EpochDraft> {
  const { epoch, signal } = task;
  const { checkpointSteps, recipe } = setup.run.spec;
  const meter = new EpochMeter(epoch, task.from.totals);
  const checkpoints = new CheckpointWriter(task, setup, device, meter);
  const rateAt = (step: number) =>
    learningRateAt(recipe, {
      epoch,
      step,
      stepsPerEpoch: setup.stepsPerEpoch,
      validationErrors: task.errorsBefore,
    });
  const microBatches = recipe.batchSize / recipe.microBatchSize;
  const batches = trainingBatches(setup, { epoch, fromStep: task.from.step }, resources, signal);
  let done = task.from.step;
  try {
    while (done < setup.stepsPerEpoch) {
      signal.throwIfAborted();
      if (task.isStopping()) return await checkpoints.stop(done);
      await meter.apart(task.turn);
      const learningRate = rateAt(done);
      for (let micro = 0; micro < microBatches; micro++) {
        const next = await meter.waiting(() => batches.next());
        if (next.done === true) throw new ImagemillError('INTERNAL', 'expected another micro-batch');
        meter.microBatch(await trainOn(next.value, learningRate, setup, device, resources));
      }
      const row = meter.endStep(done, learningRate);
      refuseLossNotFinite(row, setup);
      done += 1;
      task.onProgress(progressOf(row, done, setup, 'training'));
      if (done % checkpointSteps === 0 && done < setup.stepsPerEpoch) await checkpoints.begin(done);
    }
  } finally {
    await batches.return(undefined);
  }
  const validation = await validate(task, setup, device, resources);
  const files = await checkpoints.end();
  const { totals } = meter;
  return {
    epoch,
    steps: setup.stepsPerEpoch,
    learningRate: rateAt(setup.stepsPerEpoch - 1),
    train: metricsOf(totals),
    validation,
    seconds: totals.seconds,
    imagesPerSecond: rateOf(totals),
    dataWaitShare: waitShareOf(totals),
    ...files,
  };
}

async function trainOn(
  { slab, batch, position }: FilledMicroBatch,
  learningRate: number,
  setup: TrainingSetup,
  device: TrainingDevice,
  { slabs }: BatchResources,
): Promise<TrainedSlab['statistics']> {
  const { labels, matrices, greyShifts, shifts } = batch;
  const colour = setup.trainer.colour ? { matrices, greyShifts, shifts } : null;
  let returned = slab;
  try {
    const result = await device.train(slab, { labels, colour, position, learningRate });
    returned = result.slab;
    return result.statistics;
  } finally {
    slabs.release(returned);
  }
}

async function validate(
  task: EpochTask,
  setup: TrainingSetup,
  device: TrainingDevice,
  resources: BatchResources,
): Promise<EpochMetrics | null> {
  if (setup.validation.count === 0) return null;
  let totals: TrainingTotals = NO_TOTALS;
  for await (const { slab, batch, count } of validationBatches(setup, task.epoch, resources, task.signal)) {
    let returned = slab;
    try {
      await task.turn();
      const labels = new Int32Array(setup.run.spec.recipe.microBatchSize);
      labels.set(batch.labels);
      const result = await device.evaluate(slab, labels, count);
      returned = result.slab;
      totals = addBatch(totals, result.statistics);
    } finally {
      resources.slabs.release(returned);
    }
    task.onProgress({ ...idleProgress(task.epoch, setup), phase: 'validating' });
  }
  return metricsOf(totals);
}

function refuseLossNotFinite({ epoch, step, loss }: StepMetrics, { run }: TrainingSetup): void {
  if (Number.isFinite(loss)) return;
  throw new ImagemillError(
    'LOSS_NOT_FINITE',
    `epoch ${epoch}, step ${step}: expected a finite loss, got ${loss}; the checkpoints before it are kept. ` +
      `Draw the batch: imagemill train-batch ${run.run} --epoch ${epoch} --step ${step} --png batch.png; ` +
      'a lower learning rate helps most often: --set learningRate=…',
  );
}

function progressOf(
  row: StepMetrics,
  done: number,
  setup: TrainingSetup,
  phase: TrainProgress['phase'],
): TrainProgress {
  const { epoch, loss, top1Error, learningRate, imagesPerSecond } = row;
  return {
    epoch,
    step: done,
    steps: setup.stepsPerEpoch,
    loss,
    top1Error,
    learningRate,
    imagesPerSecond,
    phase,
  };
}

/** Progress where there is no step to report. */
export function idleProgress(
  epoch: number,
  { stepsPerEpoch }: Pick<TrainingSetup, 'stepsPerEpoch'>,
): TrainProgress {
  return {
    epoch,
    step: stepsPerEpoch,
    steps: stepsPerEpoch,
    loss: null,
    top1Error: null,
    learningRate: 0,
    imagesPerSecond: 0,
    phase: 'training',
  };
}

type EpochFiles = Pick<EpochDraft, 'checkpoint' | 'metrics'>;

/** Writes checkpoints beside the training that goes on; at most one is on its way. */
class CheckpointWriter {
  readonly #task: EpochTask;
  readonly #setup: TrainingSetup;
  readonly #device: TrainingDevice;
  readonly #meter: EpochMeter;
  #writing: Promise<void> = Promise.resolve();
  #lastStep: number;

  constructor(task: EpochTask, setup: TrainingSetup, device: TrainingDevice, meter: EpochMeter) {
    this.#task = task;
    this.#setup = setup;
    this.#device = device;
    this.#meter = meter;
    this.#lastStep = task.from.step;
  }

  /** Takes the state after `step` steps and goes on writing it; waits for the checkpoint before, or fails with it. */
  async begin(step: number): Promise<void> {
    await this.#writing;
    const bytes = this.#device.checkpoint(this.#header(step));
    const [rows, { totals }] = [this.#meter.takeRows(), this.#meter];
    this.#lastStep = step;
    this.#writing = this.#write(step, bytes, rows, totals);
    // A failure is reported when the next checkpoint waits for this one.
    this.#writing.catch(() => {});
  }

  /** Makes the state durable before the worker stops. Never returns. */
  async stop(step: number): Promise<never> {
    if (step > this.#lastStep) await this.begin(step);
    await this.#writing;
    throw new ImagemillError('SHUTDOWN', `the worker stops after step ${step} of epoch ${this.#task.epoch}`);
  }

  /** The checkpoint of the whole epoch; not committed here. */
  async end(): Promise<EpochFiles> {
    await this.#writing;
    const { epoch, token, out, signal } = this.#task;
    const { stepsPerEpoch } = this.#setup;
    const bytes = await this.#device.checkpoint(this.#header(stepsPerEpoch));
    const metrics = ledgerKeys.metrics(epoch, stepsPerEpoch, token);
    const rows = this.#meter.takeRows();
    return {
      checkpoint: await writeBytes(out, ledgerKeys.epochCheckpoint(epoch, token), bytes, 1, signal),
      metrics: await writeBytes(out, metrics, encodeRows(rows), rows.length, signal),
    };
  }

  async #write(
    step: number,
    bytes: Promise<Uint8Array>,
    rows: readonly StepMetrics[],
    totals: TrainingTotals,
  ): Promise<void> {
    const { epoch, token, out, signal } = this.#task;
    const key = ledgerKeys.stepCheckpoint(epoch, step, token);
    const checkpoint = await writeBytes(out, key, await bytes, 1, signal);
    const metricsKey = ledgerKeys.metrics(epoch, step, token);
    const metrics = await writeBytes(out, metricsKey, encodeRows(rows), rows.length, signal);
    await this.#task.commitStep({ epoch, step, checkpoint, metrics, totals });
  }

  #header(step: number): CheckpointHeader {
    const { recipe, seed, dataset } = this.#setup.run.spec;
    return { epoch: this.#task.epoch, step, seed, recipe, datasetDigest: dataset.digest };
  }
}

function encodeRows(rows: readonly StepMetrics[]): Uint8Array {
  return new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
