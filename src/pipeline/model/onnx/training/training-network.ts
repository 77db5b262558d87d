/** A training network as ONNX Runtime gets it, and the names of its inputs and outputs. */
import { dropoutLayers, type DropoutLayer, type TrainingNetwork } from '../../training-network.ts';
import type { Architecture } from '../../architecture.ts';
import type { ConvolutionForm } from './convolution-form.ts';

export interface OnnxTrainingNetwork extends TrainingNetwork {
  readonly form: ConvolutionForm;
}

/** Names of inputs and outputs. Weights have the architecture's names. */
export const TENSOR = {
  images: 'images',
  labels: 'labels',
  rowWeights: 'row_weights',
  learningRate: 'learning_rate',
  matrices: 'colour_matrices',
  greyShifts: 'grey_shifts',
  shifts: 'colour_shifts',
  lossSum: 'loss_sum',
  top1: 'top1',
  top5: 'top5',
  mask: (path: string) => `mask:${path}`,
  velocity: (name: string) => `velocity:${name}`,
  sum: (name: string) => `sum:${name}`,
  next: (tensor: string) => `next:${tensor}`,
} as const;

export const STATISTICS = [TENSOR.lossSum, TENSOR.top1, TENSOR.top5] as const;

/** An input of the graph: a dropout layer's mask, (rows, …shape) float32. */
export interface MaskInput extends DropoutLayer {
  readonly name: string;
}

/** Masks that a step needs, in the order of the layers. */
export function masksOf(architecture: Architecture): MaskInput[] {
  return dropoutLayers(architecture).map((layer) => ({ ...layer, name: TENSOR.mask(layer.path) }));
}
