/** Convolutions for training: forward, gradient of the input, gradient of the weights. */
import type { ConvLayer, PlacedLayer } from '../../architecture.ts';
import { NCHWC_DOMAIN, type GraphBuilder } from '../graph-builder.ts';
import type { ConvolutionForm } from './convolution-form.ts';
import type { Differentiated, LayerGradients, TrainingContext } from './differentiated.ts';

/** One convolution without groups, over square images of any padding. */
interface PlainConv {
  readonly rows: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly out: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
}

/** A convolution layer with bias: groups are convolutions of their own over parts of the channels. */
export function appendConvolution(
  context: TrainingContext,
  placed: PlacedLayer,
  layer: ConvLayer,
  input: string,
): Differentiated {
  const { graph } = context;
  const names = { weight: `${placed.path}.weight`, bias: `${placed.path}.bias` };
  const inputs = split(graph, input, layer.groups, 1);
  const weights = split(graph, names.weight, layer.groups, 0);
  const biases = split(graph, names.bias, layer.groups, 0);
  const parts = inputs.map((part, group) => {
    const parameters = { weight: weights[group] ?? '', bias: biases[group] ?? '' };
    return plainConvolution(context, plainOf(context, placed, layer), part, parameters);
  });
  const outputs = parts.map(({ output }) => output);
  return {
    output: concat(graph, outputs, 1),
    backward(gradient, needsInput, needsParameters): LayerGradients {
      const gradients = split(graph, gradient, layer.groups, 1);
      const towards = gradients.map((part, group) => parts[group]?.inputGradient(part, needsInput) ?? null);
      const parameters = new Map<string, string>();
      if (needsParameters) {
        const weightGradients = gradients.map((part, group) => parts[group]?.weightGradient(part) ?? '');
        parameters.set(names.weight, concat(graph, weightGradients, 0));
        const axes = graph.ints('axes', [0, 2, 3]);
        parameters.set(names.bias, graph.node('ReduceSum', [gradient, axes], { keepdims: 0 }));
      }
      const inputGradients = towards.filter((name) => name !== null);
      return { input: needsInput ? concat(graph, inputGradients, 1) : null, parameters };
    },
  };
}

interface PlainParameters {
  readonly weight: string;
  readonly bias: string;
}

interface PlainDifferentiated {
  readonly output: string;
  inputGradient(gradient: string, isNeeded: boolean): string | null;
  weightGradient(gradient: string): string;
}

function plainOf({ rows }: TrainingContext, { input, output }: PlacedLayer, layer: ConvLayer): PlainConv {
  const [channels = 0, height = 0, width = 0] = input;
  const [out = 0, outHeight = 0, outWidth = 0] = output;
  const { kernel, stride, pad, groups } = layer;
  return {
    rows,
    channels: channels / groups,
    height,
    width,
    out: out / groups,
    outHeight,
    outWidth,
    kernel,
    stride,
    pad,
  };
}

function plainConvolution(
  context: TrainingContext,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  const { graph, form } = context;
  if (form.kind === 'standard') return standardConvolution(graph, conv, input, parameters);
  if (conv.stride > 1) return stridedConvolution(graph, form, conv, input, parameters);
  return blockedConvolution(graph, form, conv, input, parameters);
}

/** With standard operators only. */
function standardConvolution(
  graph: GraphBuilder,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  const { kernel, stride, pad } = conv;
  const { weight, bias } = parameters;
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
  };
  const spare = { height: spareRows(conv, conv.height), width: spareRows(conv, conv.width) };
  return {
    output: graph.node('Conv', [input, weight, bias], attributes),
    inputGradient: (gradient, isNeeded) =>
      isNeeded
        ? graph.node('ConvTranspose', [gradient, weight], {
            ...attributes,
            output_padding: [spare.height, spare.width],
          })
        : null,
    /** Images and channels change places: a convolution of the input with the gradient, dilated by the stride. */
    weightGradient(gradient) {
      const perm = [1, 0, 2, 3];
      const crossed = graph.node(
        'Conv',
        [graph.node('Transpose', [input], { perm }), graph.node('Transpose', [gradient], { perm })],
        {
          kernel_shape: [conv.outHeight, conv.outWidth],
          dilations: [stride, stride],
          pads: [pad, pad, pad - spare.height, pad - spare.width],
        },
      );
      return graph.node('Transpose', [crossed], { perm });
    },
  };
}

/** Rows at the end of the padded input that no window reaches. */
function spareRows({ kernel, stride, pad }: PlainConv, size: number): number {
  return (size + 2 * pad - kernel) % stride;
}

/** Blocked operators where the channels fill whole blocks, the gradient of the weights as one large product. */
function blockedConvolution(
  graph: GraphBuilder,
  form: Extract<ConvolutionForm, { kind: 'blocked' }>,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  const { channels, out, kernel, pad } = conv;
  const { weight, bias } = parameters;
  const isBlocked = channels % form.block === 0 && out % form.block === 0;
  const standard = isBlocked ? null : standardConvolution(graph, conv, input, parameters);
  return {
    output: standard?.output ?? blocked(graph, form.block, [input, weight, bias], conv, pad),
    inputGradient(gradient, isNeeded) {
      if (!isNeeded) return null;
      if (standard !== null) return standard.inputGradient(gradient, true);
      // The gradient of the input is a convolution with the kernels mirrored and their roles exchanged.
      const exchanged = graph.node('Transpose', [weight], { perm: [1, 0, 2, 3] });
      const mirror = graph.ints(
        'mirror',
        Array.from({ length: kernel }, (_, index) => kernel - 1 - index),
      );
      const rows = graph.node('Gather', [exchanged, mirror], { axis: 2 });
      const mirrored = graph.node('Gather', [rows, mirror], { axis: 3 });
      const reversed = { ...conv, channels: out, out: channels };
      return blocked(graph, form.block, [gradient, mirrored], reversed, kernel - 1 - pad);
    },
    weightGradient: (gradient) => productOfWindows(graph, conv, input, gradient),
  };
}

function blocked(
  graph: GraphBuilder,
  block: number,
  [input, weight, ...bias]: readonly [input: string, weight: string, ...bias: string[]],
  { channels, out, kernel }: Pick<PlainConv, 'channels' | 'out' | 'kernel'>,
  pad: number,
): string {
  const reordered = graph.node('ReorderInput', [input], {}, undefined, NCHWC_DOMAIN);
  const shape = graph.ints('shape', [out / block, block, channels / block, block, kernel, kernel]);
  const cut = graph.node('Reshape', [weight, shape]);
  const turned = graph.node('Transpose', [cut], { perm: [0, 2, 4, 5, 3, 1] });
  const kernels = graph.node('Reshape', [turned, graph.ints('shape', [out, channels, kernel, kernel])]);
  const attributes = { kernel_shape: [kernel, kernel], strides: [1, 1], pads: [pad, pad, pad, pad] };
  const result = graph.node('Conv', [reordered, kernels, ...bias], attributes, undefined, NCHWC_DOMAIN);
  return graph.node('ReorderOutput', [result], { channels: out }, undefined, NCHWC_DOMAIN);
}

/**
 * (out, rows · positions) · (rows · positions, kernel² · channels): windows are laid side by side in NHWC, where each
 * is a run of whole pixels.
 */
function productOfWindows(graph: GraphBuilder, conv: PlainConv, input: string, gradient: string): string {
  const { rows, channels, out, outHeight, outWidth, kernel, pad } = conv;
  const pixels = graph.node('Transpose', [input], { perm: [0, 2, 3, 1] });
  const padded =
    pad === 0 ? pixels : graph.node('Pad', [pixels, graph.ints('pads', [0, pad, pad, 0, 0, pad, pad, 0])]);
  const axes = graph.ints('axes', [1, 2]);
  const windows: string[] = [];
  for (let row = 0; row < kernel; row++) {
    for (let column = 0; column < kernel; column++) {
      const ends = graph.ints('ends', [row + outHeight, column + outWidth]);
      windows.push(graph.node('Slice', [padded, graph.ints('starts', [row, column]), ends, axes]));
    }
  }
  const positions = rows * outHeight * outWidth;
  const size = kernel * kernel * channels;
  const left = graph.node('Reshape', [
    graph.node('Transpose', [gradient], { perm: [0, 2, 3, 1] }),
    graph.ints('shape', [positions, out]),
  ]);
  const right = graph.node('Reshape', [concat(graph, windows, 3), graph.ints('shape', [positions, size])]);
  const product = graph.node('Gemm', [left, right], { transA: 1 });
  const kernels = graph.node('Reshape', [product, graph.ints('shape', [out, kernel, kernel, channels])]);
  return graph.node('Transpose', [kernels], { perm: [0, 3, 1, 2] });
}

/**
 * A stride s becomes s² times the channels: pixels of an s×s square turn into channels, kernels are filled up with
 * zeros to a multiple of s, and what is left is a convolution without stride.
 */
function stridedConvolution(
  graph: GraphBuilder,
  form: Extract<ConvolutionForm, { kind: 'blocked' }>,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  const { rows, channels, height, width, out, outHeight, outWidth, kernel, stride, pad } = conv;
  const { weight, bias } = parameters;
  const dense = Math.ceil(kernel / stride);
  const dense3d = channels * stride * stride;
  const needed = { height: stride * (outHeight + dense - 1), width: stride * (outWidth + dense - 1) };
  const after = { height: needed.height - height - pad, width: needed.width - width - pad };
  const pads = graph.ints('pads', [0, 0, pad, pad, 0, 0, after.height, after.width]);
  const padded = graph.node('Pad', [input, pads]);
  const squares = graph.node('Reshape', [
    padded,
    graph.ints('shape', [rows, channels, needed.height / stride, stride, needed.width / stride, stride]),
  ]);
  const folded = graph.node('Reshape', [
    graph.node('Transpose', [squares], { perm: [0, 1, 3, 5, 2, 4] }),
    graph.ints('shape', [rows, dense3d, needed.height / stride, needed.width / stride]),
  ]);
  const filled = dense * stride;
  const more = filled - kernel;
  const wide =
    more === 0 ? weight : graph.node('Pad', [weight, graph.ints('pads', [0, 0, 0, 0, 0, 0, more, more])]);
  const kernels = graph.node('Reshape', [
    graph.node(
      'Transpose',
      [graph.node('Reshape', [wide, graph.ints('shape', [out, channels, dense, stride, dense, stride])])],
      { perm: [0, 1, 3, 5, 2, 4] },
    ),
    graph.ints('shape', [out, dense3d, dense, dense]),
  ]);
  const plain: PlainConv = {
    ...conv,
    channels: dense3d,
    height: needed.height / stride,
    width: needed.width / stride,
    kernel: dense,
    stride: 1,
    pad: 0,
  };
  const inner = blockedConvolution(graph, form, plain, folded, { weight: kernels, bias });
  return {
    output: inner.output,
    inputGradient(gradient, isNeeded) {
      const folded = inner.inputGradient(gradient, isNeeded);
      if (folded === null) return null;
      const cut = graph.ints('shape', [rows, channels, stride, stride, plain.height, plain.width]);
      const spread = graph.node('Transpose', [graph.node('Reshape', [folded, cut])], {
        perm: [0, 1, 4, 2, 5, 3],
      });
      const whole = graph.node('Reshape', [
        spread,
        graph.ints('shape', [rows, channels, needed.height, needed.width]),
      ]);
      return graph.node('Slice', [
        whole,
        graph.ints('starts', [pad, pad]),
        graph.ints('ends', [pad + height, pad + width]),
        graph.ints('axes', [2, 3]),
      ]);
    },
    weightGradient(gradient) {
      const folded = inner.weightGradient(gradient);
      const cut = graph.ints('shape', [out, channels, stride, stride, dense, dense]);
      const spread = graph.node('Transpose', [graph.node('Reshape', [folded, cut])], {
        perm: [0, 1, 4, 2, 5, 3],
      });
      const whole = graph.node('Reshape', [spread, graph.ints('shape', [out, channels, filled, filled])]);
      if (more === 0) return whole;
      return graph.node('Slice', [
        whole,
        graph.ints('starts', [0, 0]),
        graph.ints('ends', [kernel, kernel]),
        graph.ints('axes', [2, 3]),
      ]);
    },
  };
}

function split(graph: GraphBuilder, tensor: string, parts: number, axis: number): string[] {
  if (parts === 1) return [tensor];
  const outputs = Array.from({ length: parts }, () => graph.uniqueName('Split'));
  graph.nodeWithOutputs('Split', [tensor], outputs, { axis });
  return outputs;
}

function concat(graph: GraphBuilder, tensors: readonly string[], axis: number): string {
  const [only = ''] = tensors;
  return tensors.length === 1 ? only : graph.node('Concat', tensors, { axis });
}
