/** Layer specs → ONNX nodes. */
import { unreachable, type LrnLayer, type PlacedLayer } from '../architecture.ts';
import { averagingMatrix } from '../averaging-matrix.ts';
import type { GraphBuilder } from './graph-builder.ts';

/** Names of a layer's parameter tensors in the graph. */
export type ParameterNames = (path: string) => { readonly weight: string; readonly bias: string };

/**
 * Appends one layer in inference mode: (rows, …input) → (rows, …output).
 * @returns the name of the output
 */
export function appendLayer(
  graph: GraphBuilder,
  placed: PlacedLayer,
  input: string,
  parameters: ParameterNames,
): string {
  const { layer, path } = placed;
  switch (layer.kind) {
    case 'conv': {
      const { weight, bias } = parameters(path);
      const { kernel, stride, pad, groups } = layer;
      return graph.node('Conv', [input, weight, bias], {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [pad, pad, pad, pad],
        group: groups,
      });
    }
    case 'relu':
      return graph.node('Relu', [input]);
    case 'tanh':
      return graph.node('Tanh', [input]);
    case 'lrn':
      return appendLrn(graph, layer, input, placed.input[0] ?? 0);
    case 'maxPool': {
      const { kernel, stride } = layer;
      return graph.node('MaxPool', [input], { kernel_shape: [kernel, kernel], strides: [stride, stride] });
    }
    case 'adaptiveAvgPool':
      return appendAdaptiveAvgPool(graph, placed, input, layer.out);
    case 'flatten':
      return graph.node('Flatten', [input], { axis: 1 });
    case 'dropout':
      return input;
    case 'linear': {
      const { weight, bias } = parameters(path);
      return graph.node('Gemm', [input, weight, bias], { transB: 1 });
    }
    default:
      return unreachable(layer);
  }
}

/**
 * The sum over neighbouring channels is a 1×1 convolution of x² with a banded matrix: twice as fast as ONNX's LRN
 * operator in ONNX Runtime, and differentiable with ordinary operators.
 */
function appendLrn(graph: GraphBuilder, layer: LrnLayer, input: string, channels: number): string {
  const { scale } = appendLrnScale(graph, layer, input, channels);
  return graph.node('Div', [input, appendPower(graph, scale, layer.beta)]);
}

/**
 * k + alpha/size · Σ x² over neighbouring channels.
 * @returns names of the result and of the (C, C, 1, 1) kernel with alpha/size in its band
 */
export function appendLrnScale(
  graph: GraphBuilder,
  layer: LrnLayer,
  input: string,
  channels: number,
): { readonly scale: string; readonly band: string } {
  const band = new Float32Array(channels * channels);
  const before = Math.floor((layer.size - 1) / 2);
  for (let row = 0; row < channels; row++) {
    const first = Math.max(0, row - before);
    const end = Math.min(channels, row - before + layer.size);
    band.fill(layer.alpha / layer.size, row * channels + first, row * channels + end);
  }
  const kernel = graph.floats('lrn_band', [channels, channels, 1, 1], band);
  const square = graph.node('Mul', [input, input]);
  const k = graph.floats('lrn_k', [channels], new Float32Array(channels).fill(layer.k));
  return { scale: graph.node('Conv', [square, kernel, k]), band: kernel };
}

/** x^0.75 = √x · √√x, far cheaper than the general power. */
export function appendPower(graph: GraphBuilder, base: string, exponent: number): string {
  if (exponent !== 0.75) {
    return graph.node('Pow', [base, graph.floats('beta', [], Float32Array.of(exponent))]);
  }
  const root = graph.node('Sqrt', [base]);
  return graph.node('Mul', [root, graph.node('Sqrt', [root])]);
}

/** Averaging along one axis is a product with a matrix, so pooling is A_h · X · A_wᵀ; equal sizes need nothing. */
function appendAdaptiveAvgPool(graph: GraphBuilder, placed: PlacedLayer, input: string, out: number): string {
  const [, height = 0, width = 0] = placed.input;
  if (height === out && width === out) return input;
  const rows = graph.floats('pool_rows', [out, height], averagingMatrix(height, out));
  const columns = graph.floats(
    'pool_columns',
    [width, out],
    transpose(averagingMatrix(width, out), out, width),
  );
  return graph.node('MatMul', [graph.node('MatMul', [rows, input]), columns]);
}

export function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(
    matrix,
    (_, index) => matrix[(index % rows) * columns + Math.floor(index / rows)] ?? 0,
  );
}
