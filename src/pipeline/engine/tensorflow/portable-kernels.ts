/** Kernels from operators that every backend of TensorFlow.js has. */
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core';
import { fillDropoutMask } from '../../model/dropout-mask.ts';
import {
  lrnArguments,
  type Kernels,
  type Parameter,
  type Shape4D,
  type StagedPixels,
  type Tfjs,
} from './kernels.ts';

/** Slow, but the same arithmetic on any backend, that in plain JavaScript included. */
export function portableKernels(tf: Tfjs): Kernels {
  const run = (name: string, inputs: Record<string, Tensor>, attributes: object): Tensor4D =>
    tf.engine().runKernel(name, inputs, { ...attributes }) as Tensor4D;
  const strided = (stride: number) => ({
    strides: [stride, stride],
    pad: 'valid',
    dataFormat: 'NHWC',
    dilations: 1,
  });
  return {
    description: `operators of TensorFlow.js on its backend "${tf.getBackend()}"`,
    stage: (bytes, shape) => stagePixels(tf, bytes, shape),
    convolve: (input, filter, { stride, pad }) =>
      tf.conv2d(padded(tf, input, pad), filter, [stride, stride], 'valid'),
    inputGradient(gradient, filter, [rows, height, width, channels], { stride, pad }) {
      const inputShape = [rows, height + 2 * pad, width + 2 * pad, channels];
      const all = run('Conv2DBackpropInput', { dy: gradient, filter }, { ...strided(stride), inputShape });
      return pad === 0 ? all : tf.slice4d(all, [0, pad, pad, 0], [rows, height, width, channels]);
    },
    filterGradient(input, gradient, filterShape, { stride, pad }) {
      const inputs = { x: padded(tf, input, pad), dy: gradient };
      return run('Conv2DBackpropFilter', inputs, { ...strided(stride), filterShape });
    },
    product: (input, matrix) => tf.matMul(input, matrix, false, true),
    biasGradient: (gradient) =>
      tf.sum(
        gradient,
        Array.from({ length: gradient.rank - 1 }, (_, axis) => axis),
      ) as Tensor1D,
    reluGradient: (gradient, output) => tf.mul(gradient, tf.step(output)),
    maxPool: (input, kernel, stride) => tf.maxPool(input, kernel, stride, 'valid'),
    maxPoolGradient(gradient, ends, kernel, stride) {
      const attributes = { filterSize: [kernel, kernel], ...strided(stride) };
      return run('MaxPoolGrad', { dy: gradient, ...ends }, attributes);
    },
    normalise(input, layer) {
      const { depthRadius, bias, alpha, beta } = lrnArguments(layer);
      return tf.localResponseNormalization(input, depthRadius, bias, alpha, beta);
    },
    normaliseGradient: (gradient, { input, output }, layer) =>
      run('LRNGrad', { x: input, y: output, dy: gradient }, lrnArguments(layer)),
    dropoutMask(shape, probability, position) {
      const mask = new Float32Array(sizeOf(shape));
      fillDropoutMask(mask, probability, position);
      return tf.tensor2d(mask, shape);
    },
    parameter: (value, velocity) => portableParameter(tf, value, velocity),
  };
}

/** Nothing is copied: the device is this processor. */
function stagePixels(tf: Tfjs, bytes: Uint8Array, shape: Shape4D): StagedPixels {
  return {
    take: (mirrored) =>
      tf.tidy(() => {
        const pixels = tf.tensor4d(Float32Array.from(bytes.subarray(0, sizeOf(shape))), shape);
        if (mirrored === null) return pixels;
        const isMirrored = tf.tensor4d(mirrored, [shape[0], 1, 1, 1], 'bool');
        return tf.where(isMirrored, tf.reverse4d(pixels, 2), pixels);
      }),
    dispose: () => {},
  };
}

function padded(tf: Tfjs, input: Tensor4D, pad: number): Tensor4D {
  return pad === 0
    ? input
    : tf.pad4d(input, [
        [0, 0],
        [pad, pad],
        [pad, pad],
        [0, 0],
      ]);
}

function portableParameter(tf: Tfjs, value: Tensor, velocity: Tensor | null): Parameter {
  let [weight, moving] = [tf.keep(value), velocity === null ? null : tf.keep(velocity)];
  return {
    // A handle of its own on the same data.
    read: () => tf.reshape(weight, weight.shape),
    readVelocity: () => moving && tf.reshape(moving, moving.shape),
    update({ gradient, rate, weightDecay, momentum, nesterov }) {
      if (moving === null) return;
      const before = [weight, moving];
      const [nextWeight, nextVelocity] = tf.tidy(() => {
        const decayed = weightDecay === 0 ? gradient : tf.add(gradient, tf.mul(weight, weightDecay));
        const next = tf.add(tf.mul(before[1] as Tensor, momentum), decayed);
        const direction = nesterov ? tf.add(decayed, tf.mul(next, momentum)) : next;
        return [tf.sub(weight, tf.mul(direction, rate)), next] as [Tensor, Tensor];
      });
      weight = tf.keep(nextWeight);
      moving = tf.keep(nextVelocity);
      for (const tensor of before) tensor.dispose();
    },
    dispose() {
      weight.dispose();
      moving?.dispose();
    },
  };
}

function sizeOf(shape: Shape4D | readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}
