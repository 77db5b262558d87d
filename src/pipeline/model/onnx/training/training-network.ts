/** What is trained and how: everything that decides the graphs, and the names of their inputs and outputs. */
import type { Preprocessing } from '../../../../contract/model-card.ts';
import { parametersOf, placeLayers, type Architecture, type Shape } from '../../architecture.ts';
import type { ConvolutionForm } from './convolution-form.ts';
import type { SgdOptions } from './optimizer.ts';

/** How one parameter is trained. */
export interface ParameterTraining {
  readonly learningRateFactor: number;
  readonly weightDecay: number;
  /** False where the parameter is frozen. */
  readonly trained: boolean;
}

export interface TrainingNetwork {
  readonly architecture: Architecture;
  readonly preprocessing: Preprocessing;
  /** By parameter name; a parameter that is missing here is frozen. */
  readonly parameters: ReadonlyMap<string, ParameterTraining>;
  readonly sgd: SgdOptions;
  readonly labelSmoothing: number;
  /** Whether the recipe changes colours, which needs inputs of its own. */
  readonly colour: boolean;
  readonly batchSize: number;
  /** Items that go through the network at a time; divides `batchSize`. */
  readonly microBatchSize: number;
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

/** A dropout layer's mask, (rows, …shape) float32: 0, or 1/(1 − probability). */
export interface MaskInput {
  readonly name: string;
  /** Of one item's part. */
  readonly shape: Shape;
  readonly probability: number;
}

/** Masks that a step needs, in the order of the layers. */
export function masksOf(architecture: Architecture): MaskInput[] {
  return placeLayers(architecture).flatMap(({ layer, path, input }) =>
    layer.kind === 'dropout' && layer.probability > 0
      ? [{ name: TENSOR.mask(path), shape: input, probability: layer.probability }]
      : [],
  );
}

/** Whether gradients of several micro-batches add up to a batch. */
export function accumulates({ batchSize, microBatchSize }: TrainingNetwork): boolean {
  return microBatchSize < batchSize;
}

export interface TrainedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly training: ParameterTraining;
}

/** The parameters that are not frozen, in the order of the layers. */
export function trainedParameters({ architecture, parameters }: TrainingNetwork): TrainedTensor[] {
  return parametersOf(architecture).flatMap(({ name, shape }) => {
    const training = parameters.get(name);
    return training?.trained === true ? [{ name, shape, training }] : [];
  });
}
