/** The other face of an engine: it owns a model's weights and their velocities, and trains them. */
import type { StateDict } from '../model/weights/state-dict.ts';
import type { TrainingNetwork } from '../model/training-network.ts';

export interface TrainerSpec extends TrainingNetwork {
  /** Decides the dropout masks. */
  readonly seed: number;
}

/** Colour augmentation, one row per item: see `ColourTransform`. */
export interface BatchColour {
  /** (N, 3, 3) float32. */
  readonly matrices: Float32Array;
  /** (N) float32. */
  readonly greyShifts: Float32Array;
  /** (N, 3) float32. */
  readonly shifts: Float32Array;
}

export interface MicroBatch {
  /** (microBatchSize, H, W, 3) uint8 NHWC. */
  readonly images: Uint8Array;
  /** (microBatchSize) class indices. */
  readonly labels: Int32Array;
  /** null where the recipe does not change colours. */
  readonly colour: BatchColour | null;
}

/** Which micro-batch of a run this is: decides its dropout masks. */
export interface TrainingPosition {
  /** From 1. */
  readonly epoch: number;
  /** Batch of the epoch, from 0. */
  readonly step: number;
  /** Micro-batch of the batch, from 0. */
  readonly micro: number;
}

/** Sums over the items of a micro-batch. */
export interface BatchStatistics {
  readonly items: number;
  readonly lossSum: number;
  readonly top1Correct: number;
  readonly top5Correct: number;
}

/** Weights, and velocities of those that are trained; both by the architecture's parameter names. */
export interface TrainingState {
  readonly weights: StateDict;
  readonly velocities: StateDict;
}

/** Trains one model. Calls may block the thread: run it in a thread of its own. */
export interface Trainer {
  /**
   * Trains on one micro-batch; the last one of a batch updates the weights.
   * @throws ImagemillError ENGINE_FAILED
   */
  train(batch: MicroBatch, position: TrainingPosition, learningRate: number): Promise<BatchStatistics>;
  /**
   * Loss (without label smoothing) and correct items, without training.
   * @param count items of the micro-batch that count
   */
  evaluate(batch: Omit<MicroBatch, 'colour'>, count: number): Promise<BatchStatistics>;
  /** The live state, not a copy: valid until the next call of {@link train}. */
  state(): TrainingState;
  close(): Promise<void>;
}
