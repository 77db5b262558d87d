/** Kernels from TensorFlow's own operators, those included that TensorFlow.js does not pass on. */
import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs-core';
import { lrnArguments, type Kernels, type Tfjs, type Window } from './kernels.ts';
import { Operators, type NodeBackend } from './native-backend.ts';
import { dropoutMasks } from './native-mask.ts';
import { nativeParameter } from './native-parameter.ts';
import { stagePixels } from './native-pixels.ts';

export function nativeKernels(tf: Tfjs, backend: NodeBackend): Kernels {
  const operators = new Operators(backend);
  const onGpu = backend.isUsingGpuDevice;
  const { binding, attributes, float } = operators;
  const { integer, text, flag } = attributes;
  const nhwc = text('data_format', 'NHWC');

  const convolution = ({ stride, pad }: Window) => [
    float,
    integer('strides', [1, stride, stride, 1]),
    text('padding', 'EXPLICIT'),
    integer('explicit_paddings', [0, 0, pad, pad, pad, pad, 0, 0]),
    nhwc,
    flag('use_cudnn_on_gpu', true),
    integer('dilations', [1, 1, 1, 1]),
  ];
  const pooling = (kernel: number, stride: number) => [
    float,
    integer('ksize', [1, kernel, kernel, 1]),
    integer('strides', [1, stride, stride, 1]),
    text('padding', 'VALID'),
    nhwc,
  ];
  const sizes = (shape: readonly number[]): Tensor1D => tf.tensor1d([...shape], 'int32');
  return {
    description: `operators of TensorFlow ${binding.TF_Version}`,
    stage: (bytes, shape) => stagePixels(tf, operators, bytes, shape),
    convolve: (input, filter, window) => operators.run4d('Conv2D', convolution(window), [input, filter]),
    inputGradient(gradient, filter, input, window) {
      const { kernel, stride, pad } = window;
      // On processors the gradient's own operator takes up to twice the time of the same sums as a convolution.
      if (!onGpu && stride === 1 && pad < kernel) {
        const flipped = tf.transpose(tf.reverse4d(filter, [0, 1]), [0, 1, 3, 2]);
        const around = { kernel, stride: 1, pad: kernel - 1 - pad };
        return operators.run4d('Conv2D', convolution(around), [gradient, flipped]);
      }
      return operators.run4d('Conv2DBackpropInput', convolution(window), [sizes(input), filter, gradient]);
    },
    filterGradient: (input, gradient, filter, window) =>
      operators.run4d('Conv2DBackpropFilter', convolution(window), [input, sizes(filter), gradient]),
    // On processors it takes up to 2.5 times as long to have the large matrix on the right and transposed.
    product: (input, matrix) =>
      onGpu
        ? tf.matMul(input, matrix, false, true)
        : tf.tidy(() => tf.transpose(tf.matMul(matrix, input, false, true))),
    biasGradient: (gradient) => operators.run('BiasAddGrad', [float, nhwc], [gradient]) as Tensor1D,
    reluGradient: (gradient, output) => operators.run('ReluGrad', [float], [gradient, output]),
    maxPool: (input, kernel, stride) => operators.run4d('MaxPool', pooling(kernel, stride), [input]),
    maxPoolGradient: (gradient, { input, output }, kernel, stride) =>
      operators.run4d('MaxPoolGrad', pooling(kernel, stride), [input, output, gradient]),
    normalise(input, layer) {
      const { depthRadius, bias, alpha, beta } = lrnArguments(layer);
      return tf.localResponseNormalization(input, depthRadius, bias, alpha, beta);
    },
    normaliseGradient: (gradient, { input, output }, layer) =>
      tf
        .engine()
        .runKernel('LRNGrad', { x: input, y: output, dy: gradient }, lrnArguments(layer)) as Tensor4D,
    dropoutMask: dropoutMasks(tf, operators),
    parameter: (value: Tensor, velocity: Tensor | null) => nativeParameter(tf, operators, value, velocity),
  };
}
