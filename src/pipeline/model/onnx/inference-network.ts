/** Architecture + weights → the part of a graph from normalised pixels to logits, its weights constants of the graph. */
import { parametersOf, placeLayers, product, type Architecture } from '../architecture.ts';
import { weightOf } from '../export-input.ts';
import type { StateDict } from '../weights/state-dict.ts';
import { appendLayer } from './compile-network.ts';
import type { GraphBuilder } from './graph-builder.ts';

export interface InferenceNetwork {
  /** Name of the tensor (rows, classes) float32. */
  readonly logits: string;
  /** The penultimate activations: (rows, size) float32. */
  readonly embedding: { readonly name: string; readonly size: number };
}

/**
 * Appends weights, with their own names, and layers.
 * @param input name of the pixels: (rows, 3, H, W) float32, normalised
 * @param weights exactly the architecture's parameters; they must not change before the graph is encoded
 * @throws RangeError where a tensor is missing or has another shape
 */
export function appendInferenceNetwork(
  graph: GraphBuilder,
  architecture: Architecture,
  weights: StateDict,
  input: string,
): InferenceNetwork {
  for (const { name, shape } of parametersOf(architecture)) {
    graph.floats(name, shape, weightOf(weights, name, shape), name);
  }
  const placed = placeLayers(architecture);
  const lastLinear = placed.findLastIndex(({ layer }) => layer.kind === 'linear');
  const embedding = { name: '', size: 0 };
  const logits = placed.reduce((tensor, layer, index) => {
    if (index === lastLinear) Object.assign(embedding, { name: tensor, size: product(layer.input) });
    return appendLayer(graph, layer, tensor, (path) => ({ weight: `${path}.weight`, bias: `${path}.bias` }));
  }, input);
  return { logits, embedding };
}
