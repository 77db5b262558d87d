/** Every stage with its gradients. Tensors are (N, H, W, C) float32 up to `flatten` and (N, F) after it. */
import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { averagingMatrix } from '../../model/averaging-matrix.ts';
import { product, unreachable, type ConvLayer } from '../../model/architecture.ts';
import type { Kernels, Shape4D, Tfjs } from './kernels.ts';
import type { Stage } from './stages.ts';

export interface PassContext {
  readonly tf: Tfjs;
  readonly kernels: Kernels;
  /** Items that go through. */
  readonly rows: number;
  /** The parameter that the stage reads; conv filters are (kernel, kernel, in, out), matrices (out, in). */
  readonly parameter: () => Tensor;
  /** (rows, size) float32; null in evaluation, where nothing is dropped. */
  readonly mask: ((stage: Extract<Stage, { kind: 'dropout' }>) => Tensor) | null;
}

export interface StageGradients {
  /** null where it was not asked for. */
  readonly input: Tensor | null;
  /** Of the parameter; null where the stage has none or was not asked. */
  readonly parameter: Tensor | null;
}

export interface Pass {
  readonly output: Tensor;
  backward(gradient: Tensor, needsInput: boolean, needsParameter: boolean): StageGradients;
}

/** One stage forwards; `input` must live until its gradients are taken, where `keeps` says so. */
export function runStage(context: PassContext, stage: Stage, input: Tensor): Pass {
  const { tf, kernels } = context;
  switch (stage.kind) {
    case 'convolution':
      return convolution(context, stage.layer, input as Tensor4D);
    case 'product':
      return matrixProduct(context, input as Tensor2D);
    case 'bias':
      return {
        output: tf.add(input, context.parameter()),
        backward: (gradient, needsInput, needsParameter) => ({
          input: needsInput ? tf.reshape(gradient, gradient.shape) : null,
          parameter: needsParameter ? kernels.biasGradient(gradient) : null,
        }),
      };
    case 'relu': {
      const output = tf.relu(input);
      return withoutParameter(output, (gradient) => kernels.reluGradient(gradient, output));
    }
    case 'tanh': {
      const output = tf.tanh(input);
      return withoutParameter(output, (gradient) => tf.mul(gradient, tf.sub(1, tf.square(output))));
    }
    case 'lrn': {
      const output = kernels.normalise(input as Tensor4D, stage.layer);
      const ends = { input: input as Tensor4D, output };
      return withoutParameter(output, (gradient) =>
        kernels.normaliseGradient(gradient as Tensor4D, ends, stage.layer),
      );
    }
    case 'maxPool': {
      const { kernel, stride } = stage;
      const output = kernels.maxPool(input as Tensor4D, kernel, stride);
      const ends = { input: input as Tensor4D, output };
      return withoutParameter(output, (gradient) =>
        kernels.maxPoolGradient(gradient as Tensor4D, ends, kernel, stride),
      );
    }
    case 'averagePool':
      return averagePool(context, stage.out, input as Tensor4D);
    case 'flatten':
      return flatten(context, input as Tensor4D);
    case 'dropout':
      return dropout(context, stage, input);
    default:
      return unreachable(stage);
  }
}

function withoutParameter(output: Tensor, inputGradient: (gradient: Tensor) => Tensor): Pass {
  return {
    output,
    backward: (gradient, needsInput) => ({
      input: needsInput ? inputGradient(gradient) : null,
      parameter: null,
    }),
  };
}

/** Groups are towers: channels are split, convolved apart, and concatenated. */
function convolution(context: PassContext, layer: ConvLayer, input: Tensor4D): Pass {
  const { tf, kernels } = context;
  const { groups } = layer;
  const parts = (tensor: Tensor4D): Tensor4D[] => (groups === 1 ? [tensor] : tf.split(tensor, groups, 3));
  const joined = (tensors: Tensor4D[]): Tensor4D => {
    const [only] = tensors;
    return groups === 1 && only !== undefined ? only : tf.concat4d(tensors, 3);
  };
  const each = (
    first: Tensor4D,
    second: Tensor4D,
    work: (one: Tensor4D, other: Tensor4D) => Tensor4D,
  ): Tensor4D => {
    const others = parts(second);
    return joined(parts(first).map((one, group) => work(one, others[group] ?? one)));
  };
  const [kernel, , inPerGroup, out] = (context.parameter() as Tensor4D).shape;
  const [rows, height, width] = input.shape;
  const inputShape: Shape4D = [rows, height, width, inPerGroup];
  const filterShape: Shape4D = [kernel, kernel, inPerGroup, out / groups];
  return {
    output: each(input, context.parameter() as Tensor4D, (one, filter) =>
      kernels.convolve(one, filter, layer),
    ),
    backward: (gradient, needsInput, needsParameter) => ({
      parameter: needsParameter
        ? each(input, gradient as Tensor4D, (one, part) =>
            kernels.filterGradient(one, part, filterShape, layer),
          )
        : null,
      input: needsInput
        ? each(gradient as Tensor4D, context.parameter() as Tensor4D, (part, filter) =>
            kernels.inputGradient(part, filter, inputShape, layer),
          )
        : null,
    }),
  };
}

function matrixProduct({ tf, kernels, parameter }: PassContext, input: Tensor2D): Pass {
  return {
    output: kernels.product(input, parameter() as Tensor2D),
    backward: (gradient, needsInput, needsParameter) => ({
      parameter: needsParameter ? tf.matMul(gradient, input, true) : null,
      input: needsInput ? tf.matMul(gradient, parameter()) : null,
    }),
  };
}

/** y = A_h · x · A_wᵀ for every channel, so dx = A_hᵀ · dy · A_w. */
function averagePool({ tf, rows }: PassContext, out: number, input: Tensor4D): Pass {
  const [, height, width, channels] = input.shape;
  /** (rows, from, …) → (rows, to, …) by a matrix (to, from), for every item. */
  const along = (tensor: Tensor, matrix: Tensor2D, transposed: boolean): Tensor3D => {
    const [items = 0, from = 0] = tensor.shape;
    const flat = tf.reshape(tensor, [items, from, tensor.size / (items * from)]);
    const each = tf.tile(tf.expandDims(matrix, 0), [items, 1, 1]);
    return tf.matMul(each, flat, transposed) as Tensor3D;
  };
  const byRow = () => tf.tensor2d(averagingMatrix(height, out), [out, height]);
  const byColumn = () => tf.tensor2d(averagingMatrix(width, out), [out, width]);
  const down = along(input, byRow(), false);
  const across = along(tf.reshape(down, [rows * out, width, channels]), byColumn(), false);
  return withoutParameter(tf.reshape(across, [rows, out, out, channels]), (gradient) => {
    const wide = along(tf.reshape(gradient, [rows * out, out, channels]), byColumn(), true);
    const high = along(tf.reshape(wide, [rows, out, width * channels]), byRow(), true);
    return tf.reshape(high, [rows, height, width, channels]);
  });
}

/** In the order of the weights that follow: (N, H, W, C) → (N, C·H·W). */
function flatten({ tf, rows }: PassContext, input: Tensor4D): Pass {
  const [, height, width, channels] = input.shape;
  const planes = tf.transpose(input, [0, 3, 1, 2]);
  return withoutParameter(tf.reshape(planes, [rows, input.size / rows]), (gradient) =>
    tf.transpose(tf.reshape(gradient, [rows, channels, height, width]), [0, 2, 3, 1]),
  );
}

/** Inverted dropout: what is kept is scaled up, so that inference needs nothing. Masks are in the order (C, H, W). */
function dropout(
  { tf, rows, mask }: PassContext,
  stage: Extract<Stage, { kind: 'dropout' }>,
  input: Tensor,
): Pass {
  if (mask === null)
    return withoutParameter(tf.reshape(input, input.shape), (gradient) => tf.reshape(gradient, input.shape));
  const flat = mask(stage);
  const [channels = 0, height = 0, width = 0] = stage.input;
  const shaped =
    stage.input.length === 1
      ? tf.reshape(flat, [rows, product(stage.input)])
      : tf.transpose(tf.reshape(flat, [rows, channels, height, width]), [0, 2, 3, 1]);
  return withoutParameter(tf.mul(input, shaped), (gradient) => tf.mul(gradient, shaped));
}
