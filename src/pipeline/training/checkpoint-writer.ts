import { ImagemillError } from '../../contract/errors.ts';
import type { StepMetrics, TrainProgress, TrainingTotals } from '../../contract/training.ts';
import { ledgerKeys } from '../../storage/ledger-keys.ts';
import type { CheckpointHeader } from '../model/checkpoint.ts';
import { writeBytes } from '../sink/write-bytes.ts';
import type { EpochMeter } from './epoch-meter.ts';
import type { EpochDraft, EpochTask, TrainingDevice } from './epoch-task.ts';
import { isFiniteState, lossNotFinite } from './finite.ts';
import type { TrainingSetup } from './training-setup.ts';

/** A checkpoint on its way is finished, whatever ends the epoch. */
const NEVER = new AbortController().signal;

/** Writes checkpoints beside the training that goes on; at most one is on its way. */
export class CheckpointWriter {
  readonly #task: EpochTask;
  readonly #setup: Pick<TrainingSetup, 'run' | 'stepsPerEpoch'>;
  readonly #device: Pick<TrainingDevice, 'checkpoint'>;
  readonly #meter: EpochMeter;
  #writing: Promise<void> = Promise.resolve();
  #isWriting = false;
  #lastStep: number;

  constructor(
    task: EpochTask,
    setup: Pick<TrainingSetup, 'run' | 'stepsPerEpoch'>,
    device: Pick<TrainingDevice, 'checkpoint'>,
    meter: EpochMeter,
  ) {
    this.#task = task;
    this.#setup = setup;
    this.#device = device;
    this.#meter = meter;
    this.#lastStep = task.from.step;
  }

  /** Takes the state after `step` steps and goes on writing it; waits for the checkpoint before, or fails with it. */
  async begin(step: number): Promise<void> {
    await this.#written(step);
    const bytes = this.#device.checkpoint(this.#header(step));
    const [rows, { totals }] = [this.#meter.takeRows(), this.#meter];
    this.#lastStep = step;
    this.#isWriting = true;
    this.#writing = this.#write(step, bytes, rows, totals).finally(() => (this.#isWriting = false));
    // A failure is reported when the next checkpoint waits for this one.
    this.#writing.catch(() => {});
  }

  /** Makes the state after `step` steps durable before the attempt stops. Never returns. */
  async stop(step: number): Promise<never> {
    if (step > this.#lastStep) await this.begin(step);
    await this.#written(step);
    throw new ImagemillError(
      'SHUTDOWN',
      `the attempt stops after step ${step} of epoch ${this.#task.epoch}, whose state is kept`,
    );
  }

  /** The checkpoint of the whole epoch; not committed here. */
  async end(): Promise<Pick<EpochDraft, 'checkpoint' | 'metrics'>> {
    const { epoch, token, out } = this.#task;
    const { stepsPerEpoch } = this.#setup;
    await this.#written(stepsPerEpoch);
    this.#sayWaiting(stepsPerEpoch);
    const bytes = await this.#stateAfter(stepsPerEpoch, this.#device.checkpoint(this.#header(stepsPerEpoch)));
    const metrics = ledgerKeys.metrics(epoch, stepsPerEpoch, token);
    const rows = this.#meter.takeRows();
    return {
      checkpoint: await writeBytes(out, ledgerKeys.epochCheckpoint(epoch, token), bytes, 1, NEVER),
      metrics: await writeBytes(out, metrics, encodeRows(rows), rows.length, NEVER),
    };
  }

  /** Resolves when nothing is on its way any more, whatever became of it. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => {});
  }

  async #written(step: number): Promise<void> {
    if (this.#isWriting) this.#sayWaiting(step);
    await this.#writing;
  }

  /** Half a gigabyte may take minutes to write: to a watchdog a silent wait looks like a hang. */
  #sayWaiting(step: number): void {
    this.#task.onProgress(waitingProgress(this.#task.epoch, step, this.#setup.stepsPerEpoch));
  }

  async #write(
    step: number,
    bytes: Promise<Uint8Array>,
    rows: readonly StepMetrics[],
    totals: TrainingTotals,
  ): Promise<void> {
    const { epoch, token, out } = this.#task;
    const key = ledgerKeys.stepCheckpoint(epoch, step, token);
    const checkpoint = await writeBytes(out, key, await this.#stateAfter(step, bytes), 1, NEVER);
    const metricsKey = ledgerKeys.metrics(epoch, step, token);
    const metrics = await writeBytes(out, metricsKey, encodeRows(rows), rows.length, NEVER);
    await this.#task.commitStep({ epoch, step, checkpoint, metrics, totals });
  }

  /** A step with a finite loss can still leave weights that are not: nobody could go on from those. */
  async #stateAfter(steps: number, file: Promise<Uint8Array>): Promise<Uint8Array> {
    const bytes = await file;
    if (await isFiniteState(bytes)) return bytes;
    throw lossNotFinite(this.#setup.run, {
      epoch: this.#task.epoch,
      step: steps - 1,
      expected: 'finite weights after it',
      got: 'infinities or NaN',
    });
  }

  #header(step: number): CheckpointHeader {
    const { recipe, seed, dataset } = this.#setup.run.spec;
    return { epoch: this.#task.epoch, step, seed, recipe, datasetDigest: dataset.digest };
  }
}

/** Progress of an epoch that waits: for its data, its turn, or a checkpoint to be written. */
export function waitingProgress(epoch: number, step: number, steps: number): TrainProgress {
  return {
    epoch,
    step,
    steps,
    loss: null,
    top1Error: null,
    learningRate: 0,
    imagesPerSecond: 0,
    phase: 'waiting',
  };
}

function encodeRows(rows: readonly StepMetrics[]): Uint8Array {
  return new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
