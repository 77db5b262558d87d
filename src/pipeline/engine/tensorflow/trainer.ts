import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core';
import { ImagemillError } from '../../../contract/errors.ts';
import { trainedParameters, type TrainedTensor } from '../../model/training-network.ts';
import type {
  BatchColour,
  BatchStatistics,
  EvaluationBatch,
  MicroBatch,
  Trainer,
  TrainerSpec,
  TrainingPosition,
  TrainingState,
} from '../trainer.ts';
import { asEngineError } from './errors.ts';
import { crossEntropy } from './loss.ts';
import { TensorflowNetwork, type Runtime } from './network.ts';
import { augmentPixels, normalisePixels } from './pixels.ts';
import { parameterOf } from './stages.ts';
import { PixelStaging } from './pixel-staging.ts';
import { RowParts, type Part } from './row-parts.ts';

interface PartResult {
  readonly statistics: Tensor1D;
  readonly gradients: ReadonlyMap<string, Tensor>;
}

export interface TrainerOptions {
  /** Hears in one line of what is done otherwise than asked. */
  readonly onNotice: (text: string) => void;
}

/**
 * A trainer on TensorFlow. Weights, velocities and gradient sums stay on the device; pixels come as bytes. Creating it
 * and every call block the thread.
 */
export class TensorflowTrainer implements Trainer {
  readonly #runtime: Runtime;
  readonly #spec: TrainerSpec;
  readonly #network: TensorflowNetwork;
  readonly #trained: readonly TrainedTensor[];
  readonly #names: ReadonlySet<string>;
  /** First stage with a trained parameter. */
  readonly #lowest: number;
  readonly #parts: RowParts;
  /** Gradients of the micro-batches of a batch so far; null before the first one. */
  #sums: Map<string, Tensor> | null = null;
  readonly #staging: PixelStaging;

  /**
   * @param state weights of every parameter, and velocities of the trained ones; copied. Missing velocities are zero
   * @throws ImagemillError ENGINE_FAILED, ENGINE_OUT_OF_MEMORY
   * @throws RangeError where every parameter is frozen
   */
  constructor(runtime: Runtime, spec: TrainerSpec, state: TrainingState, options: TrainerOptions) {
    this.#runtime = runtime;
    this.#spec = spec;
    const { microBatchSize } = spec;
    this.#parts = new RowParts(microBatchSize, (rows) =>
      options.onNotice(
        `out of device memory: from now on ${rows} of the ${microBatchSize} images of a micro-batch go through at a time; their gradients add up to the same`,
      ),
    );
    this.#staging = new PixelStaging(runtime, spec);
    this.#trained = trainedParameters(spec);
    this.#names = new Set(this.#trained.map(({ name }) => name));
    const { weights, velocities } = state;
    this.#network = guarded(
      () => new TensorflowNetwork(runtime, spec.architecture, weights, { trained: this.#names, velocities }),
    );
    this.#lowest = this.#network.stages.findIndex((stage) => this.#names.has(parameterOf(stage) ?? ''));
    if (this.#lowest === -1) {
      throw new RangeError(`${spec.architecture.name}: expected a parameter that is not frozen`);
    }
  }

  stage(batch: MicroBatch): void {
    // Parts go to the device by themselves.
    if (this.#parts.isWhole) this.#staging.stage(batch);
  }

  unstage(batch: MicroBatch): void {
    this.#staging.letGo(batch);
  }

  async train(batch: MicroBatch, position: TrainingPosition, learningRate: number): Promise<BatchStatistics> {
    const { batchSize, microBatchSize } = this.#spec;
    if (position.micro === 0) this.#forgetSums();
    const statistics = guarded(() => this.#accumulate(batch, position));
    if (position.micro === batchSize / microBatchSize - 1) guarded(() => this.#update(learningRate));
    // A GPU is at work now, and reading would wait for it: the next micro-batch can be staged in the meantime.
    await messagesCome();
    return guarded(() => read(statistics, microBatchSize));
  }

  async evaluate(batch: EvaluationBatch, count: number): Promise<BatchStatistics> {
    const parts = guarded(() =>
      this.#parts.run(
        this.#spec.microBatchSize,
        (part) => this.#evaluatePart(batch, part, count),
        (statistics) => statistics.dispose(),
      ),
    );
    return guarded(() => read(parts, count));
  }

  state(): TrainingState {
    return guarded(() => this.#network.download());
  }

  async close(): Promise<void> {
    this.#forgetSums();
    this.#staging.dispose();
    this.#network.dispose();
  }

  /** Gradients of a micro-batch are added up only once all of them are there, so that a part can be done again. */
  #accumulate(batch: MicroBatch, position: TrainingPosition): Tensor1D[] {
    const results = this.#parts.run(
      this.#spec.microBatchSize,
      (part) => this.#trainPart(batch, position, part),
      disposeOf,
    );
    const { tf } = this.#runtime;
    for (const { gradients } of results) {
      for (const [name, gradient] of gradients) {
        const sum = this.#sums?.get(name);
        if (sum === undefined) continue;
        const next = tf.add(sum, gradient);
        sum.dispose();
        gradient.dispose();
        this.#sums?.set(name, next);
      }
      this.#sums ??= new Map(gradients);
    }
    return results.map(({ statistics }) => statistics);
  }

  #trainPart(batch: MicroBatch, position: TrainingPosition, part: Part): PartResult {
    const { tf } = this.#runtime;
    const { batchSize, labelSmoothing } = this.#spec;
    const scope = tf.tidy(() => {
      const input = this.#pixels(batch, part);
      const mask = this.#masks(position, part);
      const options = { rows: part.rows, mask, gradientsFrom: this.#lowest };
      const { logits, passes } = this.#network.forward(input, options);
      const labels = batch.labels.subarray(part.first, part.first + part.rows);
      const loss = crossEntropy(tf, { logits, labels, labelSmoothing, count: part.rows });
      const gradients = this.#network.backward(passes, loss.gradient(1 / batchSize), this.#lowest, (name) =>
        this.#names.has(name),
      );
      return { statistics: loss.statistics, ...Object.fromEntries(gradients) };
    });
    const { statistics, ...gradients } = scope as unknown as { statistics: Tensor1D } & Record<
      string,
      Tensor
    >;
    return { statistics, gradients: new Map(Object.entries(gradients)) };
  }

  #evaluatePart(batch: EvaluationBatch, part: Part, count: number): Tensor1D {
    const { tf } = this.#runtime;
    return tf.tidy(() => {
      const input = this.#pixels({ ...batch, colour: null, mirrored: null }, part);
      const options = { rows: part.rows, mask: null, gradientsFrom: this.#network.stages.length };
      const { logits } = this.#network.forward(input, options);
      const labels = batch.labels.subarray(part.first, part.first + part.rows);
      const counted = Math.min(Math.max(count - part.first, 0), part.rows);
      return crossEntropy(tf, { logits, labels, labelSmoothing: 0, count: counted }).statistics;
    });
  }

  #pixels(batch: MicroBatch, part: Part): Tensor4D {
    const { preprocessing } = this.#spec;
    const { colour } = batch;
    const pixels = this.#staging.take(batch, part);
    if (colour === null) return normalisePixels(this.#runtime, pixels, preprocessing);
    return augmentPixels(this.#runtime, pixels, rowsOf(colour, part), preprocessing);
  }

  #masks({ epoch, step, micro }: TrainingPosition, { first, rows }: Part) {
    const { tf, kernels } = this.#runtime;
    const { seed, batchSize, microBatchSize } = this.#spec;
    const batch = step * (batchSize / microBatchSize) + micro;
    return (stage: {
      readonly mask: number;
      readonly probability: number;
      readonly input: readonly number[];
    }) => {
      const size = stage.input.reduce((total, dimension) => total * dimension, 1);
      const position = { seed, epoch, batch, layer: stage.mask };
      // A part's mask is its rows of the whole one.
      const whole = kernels.dropoutMask([microBatchSize, size], stage.probability, position);
      return rows === microBatchSize ? whole : tf.slice(whole, [first, 0], [rows, size]);
    };
  }

  #update(learningRate: number): void {
    const sums = this.#sums;
    this.#sums = null;
    for (const { name, training } of this.#trained) {
      const gradient = sums?.get(name);
      if (gradient === undefined) throw new ImagemillError('INTERNAL', `expected a gradient of ${name}`);
      this.#runtime.tf.tidy(() =>
        this.#network.parameter(name).update({
          ...this.#spec.sgd,
          gradient,
          rate: learningRate * training.learningRateFactor,
          weightDecay: training.weightDecay,
        }),
      );
      gradient.dispose();
    }
  }

  #forgetSums(): void {
    for (const sum of this.#sums?.values() ?? []) sum.dispose();
    this.#sums = null;
  }
}

/** A turn of the event loop, from its end to its end: whatever has been sent to this thread is heard. */
async function messagesCome(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

function disposeOf({ statistics, gradients }: PartResult): void {
  statistics.dispose();
  for (const gradient of gradients.values()) gradient.dispose();
}

function rowsOf({ matrices, greyShifts, shifts }: BatchColour, { first, rows }: Part): BatchColour {
  const end = first + rows;
  return {
    matrices: matrices.subarray(first * 9, end * 9),
    greyShifts: greyShifts.subarray(first, end),
    shifts: shifts.subarray(first * 3, end * 3),
  };
}

/** Waits for the device. */
function read(parts: readonly Tensor1D[], items: number): BatchStatistics {
  const sums = [0, 0, 0];
  for (const part of parts) {
    part.dataSync().forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
    part.dispose();
  }
  const [lossSum = Number.NaN, top1Correct = Number.NaN, top5Correct = Number.NaN] = sums;
  return { items, lossSum, top1Correct, top5Correct };
}

function guarded<R>(work: () => R): R {
  try {
    return work();
  } catch (error) {
    throw asEngineError(error);
  }
}
