/** Convolution layers for training: forward, gradient of the input, gradients of the parameters. */
import type { ConvLayer, PlacedLayer } from '../../architecture.ts';
import { blockedConvolution } from './blocked-convolution.ts';
import type { Differentiated, LayerGradients, TrainingContext } from './differentiated.ts';
import {
  concat,
  split,
  type PlainConv,
  type PlainDifferentiated,
  type PlainParameters,
} from './plain-convolution.ts';
import { standardConvolution } from './standard-convolution.ts';
import { stridedConvolution } from './strided-convolution.ts';

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
  const plain = plainOf(context, placed, layer);
  const parts = inputs.map((part, group) =>
    plainConvolution(context, plain, part, { weight: weights[group] ?? '', bias: biases[group] ?? '' }),
  );
  const outputs = parts.map(({ output }) => output);
  return {
    output: concat(graph, outputs, 1),
    backward(gradient, needsInput, needsParameters): LayerGradients {
      const gradients = split(graph, gradient, layer.groups, 1);
      const ofParts = (append: (part: PlainDifferentiated, gradient: string) => string): string[] =>
        parts.map((part, group) => append(part, gradients[group] ?? ''));
      const parameters = new Map<string, string>();
      if (needsParameters) {
        const weightGradients = ofParts((part, towards) => part.weightGradient(towards));
        parameters.set(names.weight, concat(graph, weightGradients, 0));
        const axes = graph.ints('axes', [0, 2, 3]);
        parameters.set(names.bias, graph.node('ReduceSum', [gradient, axes], { keepdims: 0 }));
      }
      if (!needsInput) return { input: null, parameters };
      const inputGradients = ofParts((part, towards) => part.inputGradient(towards));
      return { input: concat(graph, inputGradients, 1), parameters };
    },
  };
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
  { graph, form }: TrainingContext,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  if (form.kind === 'standard') return standardConvolution(graph, conv, input, parameters);
  const append = conv.stride > 1 ? stridedConvolution : blockedConvolution;
  return append(graph, form.block, conv, input, parameters);
}
