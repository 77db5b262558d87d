import type { Tensor } from 'onnxruntime-node';
import { ImagemillError } from '../../../contract/errors.ts';
import { parametersOf, product } from '../../model/architecture.ts';
import { fillDropoutMask } from '../../model/dropout-mask.ts';
import { compileEvaluation } from '../../model/onnx/training/compile-evaluation.ts';
import { compileApply, compileStep } from '../../model/onnx/training/compile-training.ts';
import {
  masksOf,
  STATISTICS,
  TENSOR,
  type MaskInput,
  type OnnxTrainingNetwork,
} from '../../model/onnx/training/training-network.ts';
import { accumulates, trainedParameters } from '../../model/training-network.ts';
import type { StateDict } from '../../model/weights/state-dict.ts';
import type {
  BatchStatistics,
  EvaluationBatch,
  MicroBatch,
  Trainer,
  TrainerSpec,
  TrainingPosition,
  TrainingState,
} from '../trainer.ts';
import { createSession, runInPlace, type OnnxSession, type SessionOptions } from './session.ts';

type Tensors = Record<string, Tensor>;

interface Mask extends MaskInput {
  readonly values: Float32Array;
}

/**
 * A trainer on ONNX Runtime. Weights, velocities and gradient sums are buffers of this thread, which the graphs read
 * and write in place. Creating it and every call block the thread.
 */
export class OnnxruntimeTrainer implements Trainer {
  readonly #network: OnnxTrainingNetwork;
  readonly #seed: number;
  readonly #options: SessionOptions;
  readonly #step: OnnxSession;
  readonly #apply: OnnxSession | null;
  #evaluation: OnnxSession | null = null;
  readonly #state: TrainingState;
  readonly #masks: readonly Mask[];
  /** Gradient sums; empty where a micro-batch is a batch. */
  readonly #sums: ReadonlyMap<string, Float32Array>;
  readonly #statistics: ReadonlyMap<string, Float32Array>;

  /**
   * @param state weights of every parameter, and velocities of the trained ones; copied. Missing velocities are zero
   * @throws ImagemillError ENGINE_UNAVAILABLE, ENGINE_FAILED
   */
  static async create(
    spec: TrainerSpec,
    form: OnnxTrainingNetwork['form'],
    state: TrainingState,
    options: SessionOptions,
  ): Promise<OnnxruntimeTrainer> {
    const { seed, ...network } = spec;
    const complete: OnnxTrainingNetwork = { ...network, form };
    const step = await createSession(compileStep(complete), options);
    const apply = accumulates(complete) ? await createSession(compileApply(complete), options) : null;
    return new OnnxruntimeTrainer(complete, seed, { step, apply }, copyState(complete, state), options);
  }

  private constructor(
    network: OnnxTrainingNetwork,
    seed: number,
    sessions: { readonly step: OnnxSession; readonly apply: OnnxSession | null },
    state: TrainingState,
    options: SessionOptions,
  ) {
    this.#network = network;
    this.#seed = seed;
    this.#options = options;
    this.#step = sessions.step;
    this.#apply = sessions.apply;
    this.#state = state;
    const rows = network.microBatchSize;
    this.#masks = masksOf(network.architecture).map((mask) => ({
      ...mask,
      values: new Float32Array(rows * product(mask.shape)),
    }));
    this.#sums = new Map(
      (sessions.apply === null ? [] : trainedParameters(network)).map(({ name, shape }) => [
        name,
        new Float32Array(product(shape)),
      ]),
    );
    this.#statistics = new Map(STATISTICS.map((name) => [name, new Float32Array(1)]));
  }

  stage(): void {
    // The graph reads pixels where they are.
  }

  unstage(): void {
    // Nothing was staged.
  }

  /** @throws RangeError where images are still to be mirrored: the decoder does that */
  async train(batch: MicroBatch, position: TrainingPosition, learningRate: number): Promise<BatchStatistics> {
    if (batch.mirrored !== null) throw new RangeError('expected images that need no mirroring');
    const { batchSize, microBatchSize } = this.#network;
    const microBatches = batchSize / microBatchSize;
    this.#masks.forEach(({ values, probability }, layer) =>
      fillDropoutMask(values, probability, {
        seed: this.#seed,
        epoch: position.epoch,
        batch: position.step * microBatches + position.micro,
        layer,
      }),
    );
    if (position.micro === 0) for (const sum of this.#sums.values()) sum.fill(0);
    const isUpdate = this.#apply === null;
    const [feeds, fetches] = this.#stepTensors(batch, learningRate, isUpdate);
    await runInPlace(this.#step.session, feeds, fetches);
    if (this.#apply !== null && position.micro === microBatches - 1) {
      await runInPlace(this.#apply.session, ...this.#applyTensors(this.#apply, learningRate));
    }
    return this.#read(microBatchSize);
  }

  async evaluate(batch: EvaluationBatch, count: number): Promise<BatchStatistics> {
    this.#evaluation ??= await createSession(compileEvaluation(this.#network), this.#options);
    const rows = this.#network.microBatchSize;
    const rowWeights = new Float32Array(rows).fill(1, 0, count);
    const { runtime, session } = this.#evaluation;
    const feeds: Tensors = {
      ...this.#images(batch),
      [TENSOR.rowWeights]: new runtime.Tensor('float32', rowWeights, [rows]),
      ...this.#tensorsOf(this.#state.weights, (name) => name),
    };
    await runInPlace(session, feeds, this.#statisticsTensors());
    return this.#read(count);
  }

  state(): TrainingState {
    return this.#state;
  }

  async close(): Promise<void> {
    await this.#step.session.release();
    await this.#apply?.session.release();
    await this.#evaluation?.session.release();
  }

  #stepTensors(batch: MicroBatch, learningRate: number, isUpdate: boolean): [Tensors, Tensors] {
    const { Tensor } = this.#step.runtime;
    const rows = this.#network.microBatchSize;
    const feeds: Tensors = {
      ...this.#images(batch),
      ...this.#tensorsOf(this.#state.weights, (name) => name),
    };
    for (const { name, shape, values } of this.#masks) {
      feeds[name] = new Tensor('float32', values, [rows, ...shape]);
    }
    if (this.#network.colour) {
      const { colour } = batch;
      if (colour === null)
        throw new ImagemillError('INTERNAL', 'expected colour transforms with a micro-batch');
      feeds[TENSOR.matrices] = new Tensor('float32', colour.matrices, [rows, 3, 3]);
      feeds[TENSOR.greyShifts] = new Tensor('float32', colour.greyShifts, [rows]);
      feeds[TENSOR.shifts] = new Tensor('float32', colour.shifts, [rows, 3]);
    }
    const fetches = this.#statisticsTensors();
    if (isUpdate) this.#addUpdates(feeds, fetches, learningRate);
    else this.#addSums(feeds, fetches);
    return [feeds, fetches];
  }

  #applyTensors({ runtime }: OnnxSession, learningRate: number): [Tensors, Tensors] {
    const feeds: Tensors = {};
    const fetches: Tensors = {};
    for (const { name, shape } of trainedParameters(this.#network)) {
      const sum = this.#sums.get(name);
      const weight = this.#state.weights.get(name);
      if (sum === undefined || weight === undefined) continue;
      feeds[name] = new runtime.Tensor('float32', weight.data, shape);
      feeds[TENSOR.sum(name)] = new runtime.Tensor('float32', sum, shape);
    }
    this.#addUpdates(feeds, fetches, learningRate);
    return [feeds, fetches];
  }

  /** Input and output share a buffer: the graph sees to it that nothing is overwritten before it was read. */
  #addUpdates(feeds: Tensors, fetches: Tensors, learningRate: number): void {
    const { Tensor } = this.#step.runtime;
    feeds[TENSOR.learningRate] = new Tensor('float32', Float32Array.of(learningRate), [1]);
    for (const { name, shape } of trainedParameters(this.#network)) {
      const velocity = TENSOR.velocity(name);
      const values = this.#state.velocities.get(name)?.data ?? new Float32Array();
      feeds[velocity] = new Tensor('float32', values, shape);
      fetches[TENSOR.next(velocity)] = feeds[velocity];
      const weight = feeds[name];
      if (weight !== undefined) fetches[TENSOR.next(name)] = weight;
    }
  }

  #addSums(feeds: Tensors, fetches: Tensors): void {
    for (const { name, shape } of trainedParameters(this.#network)) {
      const values = this.#sums.get(name) ?? new Float32Array();
      const sum = new this.#step.runtime.Tensor('float32', values, shape);
      feeds[TENSOR.sum(name)] = sum;
      fetches[TENSOR.next(TENSOR.sum(name))] = sum;
    }
  }

  #images({ images, labels }: EvaluationBatch): Tensors {
    const { Tensor } = this.#step.runtime;
    const { architecture, microBatchSize: rows } = this.#network;
    const { height, width } = architecture.input;
    const shape = [rows, height, width, 3];
    const pixels = images.subarray(0, product(shape));
    return {
      [TENSOR.images]: new Tensor('uint8', pixels, shape),
      [TENSOR.labels]: new Tensor('int64', BigInt64Array.from(labels, BigInt), [rows]),
    };
  }

  #tensorsOf(weights: StateDict, nameOf: (name: string) => string): Tensors {
    const { Tensor } = this.#step.runtime;
    return Object.fromEntries(
      [...weights].map(([name, { data, shape }]) => [nameOf(name), new Tensor('float32', data, shape)]),
    );
  }

  #statisticsTensors(): Tensors {
    const { Tensor } = this.#step.runtime;
    return Object.fromEntries(
      [...this.#statistics].map(([name, values]) => [name, new Tensor('float32', values, [1])]),
    );
  }

  #read(items: number): BatchStatistics {
    const value = (name: string): number => this.#statistics.get(name)?.[0] ?? Number.NaN;
    return {
      items,
      lossSum: value(TENSOR.lossSum),
      top1Correct: value(TENSOR.top1),
      top5Correct: value(TENSOR.top5),
    };
  }
}

/** A state of the network's own: every weight, a velocity for every trained one. */
function copyState(network: OnnxTrainingNetwork, { weights, velocities }: TrainingState): TrainingState {
  const copied = parametersOf(network.architecture).map(({ name, shape }) => {
    const found = weights.get(name);
    if (found === undefined || found.data.length !== product(shape)) {
      throw new ImagemillError('INTERNAL', `expected ${product(shape)} values of ${name} to train from`);
    }
    return [name, { shape, data: found.data.slice() }] as const;
  });
  const trained = trainedParameters(network).map(({ name, shape }) => {
    const data = velocities.get(name)?.data.slice() ?? new Float32Array(product(shape));
    return [name, { shape, data }] as const;
  });
  return { weights: new Map(copied), velocities: new Map(trained) };
}
