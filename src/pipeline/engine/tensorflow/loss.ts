/** Softmax cross-entropy with label smoothing (Szegedy et al. 2015, §7), its gradient, and what to count. */
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import type { Tfjs } from './kernels.ts';

export interface LossInput {
  /** (N, classes). */
  readonly logits: Tensor2D;
  /** (N) class indices. */
  readonly labels: Int32Array;
  readonly labelSmoothing: number;
  /** Rows after these are padding. */
  readonly count: number;
}

export interface Loss {
  /** (3): the loss, summed over the items; items whose best class is right; those whose best five hold the right one. */
  readonly statistics: Tensor1D;
  /** d(loss sum · scale)/d(logits). */
  gradient(scale: number): Tensor2D;
}

/** Must run inside a `tidy`. */
export function crossEntropy(tf: Tfjs, { logits, labels, labelSmoothing, count }: LossInput): Loss {
  const [rows, classes] = logits.shape;
  const column = tf.tensor1d(labels.subarray(0, rows), 'int32');
  const oneHot = tf.oneHot(column, classes, 1, 0, 'float32');
  const target =
    labelSmoothing === 0 ? oneHot : tf.add(tf.mul(oneHot, 1 - labelSmoothing), labelSmoothing / classes);
  const logProbabilities = tf.logSoftmax(logits, 1);
  const weights = tf.tensor1d(new Float32Array(rows).fill(1, 0, count));
  const weighed = (perRow: Tensor): Tensor => tf.sum(tf.mul(perRow, weights));
  const right = (best: number): Tensor => {
    const { indices } = tf.topk(logits, best, true);
    const isRight = tf.equal(indices, tf.reshape(column, [rows, 1]));
    return weighed(tf.sum(tf.cast(isRight, 'float32'), 1));
  };
  const lossSum = tf.neg(weighed(tf.sum(tf.mul(target, logProbabilities), 1)));
  return {
    statistics: tf.stack([lossSum, right(1), right(Math.min(5, classes))]) as Tensor1D,
    gradient: (scale) => tf.mul(tf.sub(tf.exp(logProbabilities), target), scale) as Tensor2D,
  };
}
