/**
 * A stride s becomes s² times the channels: pixels of an s×s square turn into channels, kernels are filled up with
 * zeros to a multiple of s, and what is left is a convolution without stride.
 */
import type { GraphBuilder } from '../graph-builder.ts';
import { blockedConvolution } from './blocked-convolution.ts';
import type { PlainConv, PlainDifferentiated, PlainParameters } from './plain-convolution.ts';

/** @param block channels of a block */
export function stridedConvolution(
  graph: GraphBuilder,
  block: number,
  conv: PlainConv,
  input: string,
  { weight, bias }: PlainParameters,
): PlainDifferentiated {
  const { rows, channels, height, width, out, kernel, stride, pad } = conv;
  const dense = denseConvolution(conv);
  const [tall, wide] = [dense.height * stride, dense.width * stride];
  const filled = dense.kernel * stride;
  // What the windows do not reach is cut off, which is a negative padding.
  const frame = [0, pad, pad, 0, 0, tall - height - pad, wide - width - pad, 0];
  const pixels = graph.node('Transpose', [input], { perm: [0, 2, 3, 1] });
  const framed = graph.node('Pad', [pixels, graph.ints('pads', frame)]);
  const folded = foldPixels(graph, framed, [rows, channels, tall, wide], stride);
  const filledUp = pad2d(graph, weight, [0, 0, filled - kernel, filled - kernel]);
  const kernels = fold(graph, filledUp, [out, channels, filled, filled], stride);
  const inner = blockedConvolution(graph, block, dense, folded, { weight: kernels, bias }, 'channels-last');
  return {
    output: inner.output,
    inputGradient(gradient) {
      const whole = unfold(graph, inner.inputGradient(gradient), [rows, channels, tall, wide], stride);
      return pad2d(graph, whole, [-pad, -pad, height + pad - tall, width + pad - wide]);
    },
    weightGradient(gradient) {
      const whole = unfold(graph, inner.weightGradient(gradient), [out, channels, filled, filled], stride);
      return pad2d(graph, whole, [0, 0, kernel - filled, kernel - filled]);
    },
  };
}

/** The convolution that is left, over just as much of the image as its windows reach. */
function denseConvolution(conv: PlainConv): PlainConv {
  const kernel = Math.ceil(conv.kernel / conv.stride);
  return {
    ...conv,
    channels: conv.channels * conv.stride ** 2,
    height: conv.outHeight + kernel - 1,
    width: conv.outWidth + kernel - 1,
    kernel,
    stride: 1,
    pad: 0,
  };
}

type Shape4d = readonly [count: number, channels: number, height: number, width: number];

/** (N, H, W, C) → (N, H/s, W/s, s² · C): runs of s pixels stay together. */
function foldPixels(
  graph: GraphBuilder,
  tensor: string,
  [count, channels, height, width]: Shape4d,
  stride: number,
): string {
  const cut = graph.ints('shape', [count, height / stride, stride, width / stride, stride * channels]);
  const perm = [0, 1, 3, 2, 4];
  const turned = graph.node('Transpose', [graph.node('Reshape', [tensor, cut])], { perm });
  const shape = graph.ints('shape', [count, height / stride, width / stride, stride * stride * channels]);
  return graph.node('Reshape', [turned, shape]);
}

/** (N, C, H, W) → (N, s² · C, H/s, W/s), channels in the order of {@link foldPixels}. */
function fold(
  graph: GraphBuilder,
  tensor: string,
  [count, channels, height, width]: Shape4d,
  stride: number,
): string {
  const cut = graph.ints('shape', [count, channels, height / stride, stride, width / stride, stride]);
  const perm = [0, 3, 5, 1, 2, 4];
  const turned = graph.node('Transpose', [graph.node('Reshape', [tensor, cut])], { perm });
  const shape = graph.ints('shape', [count, channels * stride * stride, height / stride, width / stride]);
  return graph.node('Reshape', [turned, shape]);
}

/** The inverse of {@link fold}; the shape is that of the result. */
function unfold(
  graph: GraphBuilder,
  tensor: string,
  [count, channels, height, width]: Shape4d,
  stride: number,
): string {
  const cut = graph.ints('shape', [count, stride, stride, channels, height / stride, width / stride]);
  const perm = [0, 3, 4, 1, 5, 2];
  const turned = graph.node('Transpose', [graph.node('Reshape', [tensor, cut])], { perm });
  return graph.node('Reshape', [turned, graph.ints('shape', [count, channels, height, width])]);
}

/** Adds zeros around the last two of four axes; negative numbers cut off instead. */
function pad2d(
  graph: GraphBuilder,
  tensor: string,
  [top, left, bottom, right]: readonly [top: number, left: number, bottom: number, right: number],
): string {
  if (top === 0 && left === 0 && bottom === 0 && right === 0) return tensor;
  return graph.node('Pad', [tensor, graph.ints('pads', [0, 0, top, left, 0, 0, bottom, right])]);
}
