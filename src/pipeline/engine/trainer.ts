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
  /** (microBatchSize) 1 for images to be mirrored left to right; null where the decoder has done that. */
  readonly mirrored: Uint8Array | null;
}

/** Pixels of a validation are neither mirrored nor of other colours. */
export type EvaluationBatch = Pick<MicroBatch, 'images' | 'labels'>;

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
   * Begins to move a micro-batch to the device, while that may still compute another one; {@link train} takes the same
   * object from there. Never fails: what keeps it from moving is a fault of the training.
   */
  stage(batch: MicroBatch): void;
  /** Frees what was staged and will not be trained on. */
  unstage(batch: MicroBatch): void;
  /**
   * Trains on one micro-batch; the last one of a batch updates the weights.
   * @throws ImagemillError ENGINE_FAILED
   */
  train(batch: MicroBatch, position: TrainingPosition, learningRate: number): Promise<BatchStatistics>;
  /**
   * Loss (without label smoothing) and correct items, without training.
   * @param count items of the micro-batch that count
   */
  evaluate(batch: EvaluationBatch, count: number): Promise<BatchStatistics>;
  /** The live state, not a copy: valid until the next call of {@link train}. */
  state(): TrainingState;
  close(): Promise<void>;
}
