/** Every layer with its backward pass. */
import { product, unreachable, type LrnLayer, type PlacedLayer } from '../../architecture.ts';
import { averagingMatrix } from '../../averaging-matrix.ts';
import { appendLrnScale, appendPower, transpose } from '../compile-network.ts';
import type { Attribute } from '../graph-builder.ts';
import { appendConvolution } from './convolution.ts';
import { NO_PARAMETERS, type Differentiated, type TrainingContext } from './differentiated.ts';

/** Appends one layer in training mode: (rows, …input) → (rows, …output). */
export function appendTrainingLayer(
  context: TrainingContext,
  placed: PlacedLayer,
  input: string,
): Differentiated {
  const { layer } = placed;
  switch (layer.kind) {
    case 'conv':
      return appendConvolution(context, placed, layer, input);
    case 'linear':
      return appendLinear(context, placed, input);
    case 'relu':
      return appendRelu(context, input);
    case 'tanh':
      return appendTanh(context, input);
    case 'dropout':
      return appendDropout(context, placed, input);
    case 'lrn':
      return appendLrn(context, placed, layer, input);
    case 'maxPool':
      return appendMaxPool(context, placed, layer, input);
    case 'adaptiveAvgPool':
      return appendAveragePool(context, placed, layer.out, input);
    case 'flatten':
      return appendFlatten(context, placed, input);
    default:
      return unreachable(layer);
  }
}

/** y = x·Wᵀ + b. */
function appendLinear({ graph }: TrainingContext, { path }: PlacedLayer, input: string): Differentiated {
  const [weight, bias] = [`${path}.weight`, `${path}.bias`];
  return {
    output: graph.node('Gemm', [input, weight, bias], { transB: 1 }),
    backward: (gradient, needsInput, needsParameters) => ({
      input: needsInput ? graph.node('MatMul', [gradient, weight]) : null,
      parameters: needsParameters
        ? new Map([
            [weight, graph.node('Gemm', [gradient, input], { transA: 1 })],
            [bias, graph.node('ReduceSum', [gradient, graph.ints('axes', [0])], { keepdims: 0 })],
          ])
        : NO_PARAMETERS,
    }),
  };
}

/**
 * As steep as a float can be, so that min(1, slope · y) is the derivative of ReLU at its output y: 1 above zero, 0 at
 * zero. ONNX Runtime spreads this operator over its threads, which it does not do with Sign or a comparison.
 */
const STEPPED: Record<string, Attribute> = { alpha: { float: 3e38 }, beta: { float: 0 } };

function appendRelu({ graph }: TrainingContext, input: string): Differentiated {
  const output = graph.node('Relu', [input]);
  return {
    output,
    backward: (gradient, needsInput) => ({
      input: needsInput ? graph.node('Mul', [gradient, graph.node('HardSigmoid', [output], STEPPED)]) : null,
      parameters: NO_PARAMETERS,
    }),
  };
}

/** dx = dy · (1 − y²). */
function appendTanh({ graph }: TrainingContext, input: string): Differentiated {
  const output = graph.node('Tanh', [input]);
  return {
    output,
    backward(gradient, needsInput) {
      if (!needsInput) return { input: null, parameters: NO_PARAMETERS };
      const one = graph.floats('one', [], Float32Array.of(1));
      const slope = graph.node('Sub', [one, graph.node('Mul', [output, output])]);
      return { input: graph.node('Mul', [gradient, slope]), parameters: NO_PARAMETERS };
    },
  };
}

/** Inverted dropout: what is kept is scaled up, so that inference needs nothing. */
function appendDropout(context: TrainingContext, placed: PlacedLayer, input: string): Differentiated {
  const { graph } = context;
  if (placed.layer.kind === 'dropout' && placed.layer.probability === 0) return identity(input);
  const mask = context.maskOf(placed);
  return {
    output: graph.node('Mul', [input, mask]),
    backward: (gradient, needsInput) => ({
      input: needsInput ? graph.node('Mul', [gradient, mask]) : null,
      parameters: NO_PARAMETERS,
    }),
  };
}

/** dx = dy / sᵝ − 2β · x · Σ α/size · (dy · y / s) over the neighbours, where s is the scale and y = x / sᵝ. */
function appendLrn(
  { graph }: TrainingContext,
  placed: PlacedLayer,
  layer: LrnLayer,
  input: string,
): Differentiated {
  const { scale, band } = appendLrnScale(graph, layer, input, placed.input[0] ?? 0);
  const power = appendPower(graph, scale, layer.beta);
  const output = graph.node('Div', [input, power]);
  return {
    output,
    backward(gradient, needsInput) {
      if (!needsInput) return { input: null, parameters: NO_PARAMETERS };
      const direct = graph.node('Div', [gradient, power]);
      const share = graph.node('Div', [graph.node('Mul', [gradient, output]), scale]);
      // Windows of odd size are symmetric, so the band is its own transpose.
      const neighbours = graph.node('Conv', [share, band]);
      const factor = graph.floats('two_beta', [], Float32Array.of(2 * layer.beta));
      const indirect = graph.node('Mul', [graph.node('Mul', [input, factor]), neighbours]);
      return { input: graph.node('Sub', [direct, indirect]), parameters: NO_PARAMETERS };
    },
  };
}

/** Each window's gradient goes to its first largest value; overlapping windows add up. */
function appendMaxPool(
  { graph, rows }: TrainingContext,
  placed: PlacedLayer,
  { kernel, stride }: { readonly kernel: number; readonly stride: number },
  input: string,
): Differentiated {
  const output = graph.uniqueName('MaxPool');
  const indices = graph.uniqueName('MaxPool_indices');
  graph.nodeWithOutputs('MaxPool', [input], [output, indices], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
  });
  return {
    output,
    backward(gradient, needsInput) {
      if (!needsInput) return { input: null, parameters: NO_PARAMETERS };
      const all = rows * product(placed.input);
      const flat = graph.ints('shape', [-1]);
      const zeros = graph.node('ConstantOfShape', [graph.ints('shape', [all])]);
      const spread = graph.node(
        'ScatterElements',
        [zeros, graph.node('Reshape', [indices, flat]), graph.node('Reshape', [gradient, flat])],
        { axis: 0, reduction: 'add' },
      );
      const shape = graph.ints('shape', [rows, ...placed.input]);
      return { input: graph.node('Reshape', [spread, shape]), parameters: NO_PARAMETERS };
    },
  };
}

/** y = A_h · x · A_wᵀ, so dx = A_hᵀ · dy · A_w. */
function appendAveragePool(
  { graph }: TrainingContext,
  placed: PlacedLayer,
  out: number,
  input: string,
): Differentiated {
  const [, height = 0, width = 0] = placed.input;
  if (height === out && width === out) return identity(input);
  const byRow = averagingMatrix(height, out);
  const byColumn = averagingMatrix(width, out);
  const across = (left: string, tensor: string, right: string) =>
    graph.node('MatMul', [graph.node('MatMul', [left, tensor]), right]);
  const rows = graph.floats('pool_rows', [out, height], byRow);
  const columns = graph.floats('pool_columns', [width, out], transpose(byColumn, out, width));
  return {
    output: across(rows, input, columns),
    backward(gradient, needsInput) {
      if (!needsInput) return { input: null, parameters: NO_PARAMETERS };
      const rowsBack = graph.floats('pool_rows', [height, out], transpose(byRow, out, height));
      const columnsBack = graph.floats('pool_columns', [out, width], byColumn);
      return { input: across(rowsBack, gradient, columnsBack), parameters: NO_PARAMETERS };
    },
  };
}

function appendFlatten({ graph, rows }: TrainingContext, placed: PlacedLayer, input: string): Differentiated {
  return {
    output: graph.node('Flatten', [input], { axis: 1 }),
    backward: (gradient, needsInput) => ({
      input: needsInput
        ? graph.node('Reshape', [gradient, graph.ints('shape', [rows, ...placed.input])])
        : null,
      parameters: NO_PARAMETERS,
    }),
  };
}

function identity(input: string): Differentiated {
  return {
    output: input,
    backward: (gradient, needsInput) => ({
      input: needsInput ? gradient : null,
      parameters: NO_PARAMETERS,
    }),
  };
}
