/** What is trained and how: everything that decides a training step, whatever the engine. */
import type { Preprocessing } from '../../contract/model-card.ts';
import { parametersOf, placeLayers, type Architecture, type Shape } from './architecture.ts';

/** How one parameter is trained. */
export interface ParameterTraining {
  readonly learningRateFactor: number;
  readonly weightDecay: number;
  /** False where the parameter is frozen. */
  readonly trained: boolean;
}

/** SGD with momentum as torch.optim.SGD defines it: v ← m·v + (g + d·w); w ← w − r·v, or r·(g + d·w + m·v) for Nesterov. */
export interface SgdOptions {
  readonly momentum: number;
  readonly nesterov: boolean;
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
}

/** A dropout layer's mask, (rows, …shape) float32: 0, or 1/(1 − probability). */
export interface DropoutLayer {
  /** Of the layer. */
  readonly path: string;
  /** Of one item's part. */
  readonly shape: Shape;
  readonly probability: number;
}

/** Dropout layers that drop something, in the order of the network: their numbers decide their masks. */
export function dropoutLayers(architecture: Architecture): DropoutLayer[] {
  return placeLayers(architecture).flatMap(({ layer, path, input }) =>
    layer.kind === 'dropout' && layer.probability > 0
      ? [{ path, shape: input, probability: layer.probability }]
      : [],
  );
}

/** Whether gradients of several micro-batches add up to a batch. */
export function accumulates({
  batchSize,
  microBatchSize,
}: Pick<TrainingNetwork, 'batchSize' | 'microBatchSize'>): boolean {
  return microBatchSize < batchSize;
}

export interface TrainedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly training: ParameterTraining;
}

/** The parameters that are not frozen, in the order of the layers. */
export function trainedParameters({
  architecture,
  parameters,
}: Pick<TrainingNetwork, 'architecture' | 'parameters'>): TrainedTensor[] {
  return parametersOf(architecture).flatMap(({ name, shape }) => {
    const training = parameters.get(name);
    return training?.trained === true ? [{ name, shape, training }] : [];
  });
}
