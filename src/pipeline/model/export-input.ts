/** What goes into a model file of another tool, and how exporters look at it. */
import type { ModelCard, Preprocessing } from '../../contract/model-card.ts';
import { describeShape, product, type Architecture, type Shape } from './architecture.ts';
import type { StateDict } from './weights/state-dict.ts';

export interface ExportInput {
  readonly architecture: Architecture;
  /** Exactly the architecture's parameters. */
  readonly weights: StateDict;
  /** Its crop is the network's input size; its labels and preprocessing go into the file. */
  readonly card: ModelCard;
}

/** The architecture with the crop as its input size. */
export function atCropSize(architecture: Architecture, { crop }: Preprocessing): Architecture {
  return { ...architecture, input: { channels: 3, height: crop.height, width: crop.width } };
}

/**
 * The values of one parameter.
 * @throws RangeError where the tensor is missing or has another number of elements
 */
export function weightOf(weights: StateDict, name: string, shape: Shape): Float32Array {
  const tensor = weights.get(name);
  if (tensor === undefined || tensor.data.length !== product(shape)) {
    const got = tensor === undefined ? 'none' : describeShape(tensor.shape);
    throw new RangeError(`${name}: expected a tensor ${describeShape(shape)}, got ${got}`);
  }
  return tensor.data;
}
