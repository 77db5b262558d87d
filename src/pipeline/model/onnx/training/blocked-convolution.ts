/** Convolutions without stride over blocks of channels, all of their gradients included. */
import { NCHWC_DOMAIN, type GraphBuilder } from '../graph-builder.ts';
import type { PlainConv, PlainDifferentiated, PlainParameters } from './plain-convolution.ts';
import { standardConvolution } from './standard-convolution.ts';

/** Order of the axes: (rows, channels, height, width) or (rows, height, width, channels). */
type ImageLayout = 'channels-first' | 'channels-last';

/**
 * Blocked operators where the channels fill whole blocks, standard ones elsewhere.
 * @param block channels of a block
 * @param layout of `images`; whatever else has channels has them first
 */
export function blockedConvolution(
  graph: GraphBuilder,
  block: number,
  conv: PlainConv,
  images: string,
  parameters: PlainParameters,
  layout: ImageLayout = 'channels-first',
): PlainDifferentiated {
  const { channels, out, kernel, pad } = conv;
  const { weight, bias } = parameters;
  const isBlocked = channels % block === 0 && out % block === 0;
  const weightGradient = (gradient: string): string => {
    const planes = planesOf(graph, block, conv, images, layout);
    if (out % block !== 0)
      return standardConvolution(graph, conv, planes, parameters).weightGradient(gradient);
    return crossConvolve(graph, block, conv, planes, gradient);
  };
  // Mirrored kernels need a padding of kernel − 1 − pad, which must not be negative.
  if (!isBlocked || pad >= kernel) {
    const planes = planesOf(graph, block, conv, images, layout);
    return { ...standardConvolution(graph, conv, planes, parameters), weightGradient };
  }
  return {
    output: convolve(graph, block, [reorderInput(graph, images, layout), weight, bias], { ...conv, pad }),
    /** A convolution with the kernels mirrored, and their inputs and outputs exchanged. */
    inputGradient(gradient) {
      const exchanged = graph.node('Transpose', [weight], { perm: [1, 0, 2, 3] });
      const flat = graph.node('Reshape', [exchanged, graph.ints('shape', [channels, out, kernel ** 2])]);
      const order = Array.from({ length: kernel ** 2 }, (_, index) => kernel ** 2 - 1 - index);
      const mirrored = graph.node('Gather', [flat, graph.ints('mirror', order)], { axis: 2 });
      const reversed = { channels: out, out: channels, kernel, pad: kernel - 1 - pad };
      return convolve(graph, block, [reorderInput(graph, gradient), mirrored], reversed);
    },
    weightGradient,
  };
}

/**
 * Images with their channels first. By way of the blocks where that is possible: ONNX Runtime's optimizer makes one
 * transposition of two in a row, and that one, of all axes, can take thirty times as long as both.
 */
function planesOf(
  graph: GraphBuilder,
  block: number,
  { channels }: PlainConv,
  images: string,
  layout: ImageLayout,
): string {
  if (layout === 'channels-first') return images;
  if (channels % block !== 0) return graph.node('Transpose', [images], { perm: [0, 3, 1, 2] });
  return reorderOutput(graph, reorderInput(graph, images, layout), channels);
}

function reorderInput(graph: GraphBuilder, input: string, layout: ImageLayout = 'channels-first'): string {
  const order = layout === 'channels-last' ? { channels_last: 1 } : {};
  return graph.node('ReorderInput', [input], order, undefined, NCHWC_DOMAIN);
}

function convolve(
  graph: GraphBuilder,
  block: number,
  [input, weight, ...bias]: readonly [input: string, weight: string, ...bias: string[]],
  { channels, out, kernel, pad }: Pick<PlainConv, 'channels' | 'out' | 'kernel' | 'pad'>,
): string {
  const shape = graph.ints('shape', [out / block, block, channels / block, block, kernel, kernel]);
  const cut = graph.node('Reshape', [weight, shape]);
  const turned = graph.node('Transpose', [cut], { perm: [0, 2, 4, 5, 3, 1] });
  const kernels = graph.node('Reshape', [turned, graph.ints('shape', [out, channels, kernel, kernel])]);
  return convolveBlocks(graph, [input, kernels, ...bias], [kernel, kernel], out, pad);
}

/** @param inputs images and kernels in blocks, and a bias or none */
function convolveBlocks(
  graph: GraphBuilder,
  inputs: readonly string[],
  kernel: readonly [height: number, width: number],
  out: number,
  pad: number,
): string {
  const attributes = { kernel_shape: kernel, strides: [1, 1], pads: [pad, pad, pad, pad] };
  const result = graph.node('Conv', inputs, attributes, undefined, NCHWC_DOMAIN);
  return reorderOutput(graph, result, out);
}

function reorderOutput(graph: GraphBuilder, blocks: string, channels: number): string {
  return graph.node('ReorderOutput', [blocks], { channels }, undefined, NCHWC_DOMAIN);
}

/**
 * The gradient of the weights: images and channels change places, so that every channel of the input is an image, the
 * gradient is a kernel as large as an output, and what sums up over channels now sums up over images. These are filled
 * up with zeros to whole blocks. Kernels of many megabytes would come from memory again and again: a few rows at a time
 * stay in the cache.
 */
function crossConvolve(
  graph: GraphBuilder,
  block: number,
  conv: PlainConv,
  planes: string,
  gradient: string,
): string {
  const { rows, out, outHeight, outWidth, kernel, pad } = conv;
  const filled = Math.ceil(rows / block) * block;
  const crossed = graph.node('Transpose', [planes], { perm: [1, 2, 3, 0] });
  // Faster than a padding of the convolution, whose windows at the edges go one by one.
  const framed = padded(graph, crossed, [0, pad, pad, 0, 0, pad, pad, filled - rows]);
  const whole = padded(graph, gradient, [0, 0, 0, 0, filled - rows, 0, 0, 0]);
  const shape = graph.ints('shape', [filled / block, block, out / block, outHeight, outWidth, block]);
  const cut = graph.node('Reshape', [reorderInput(graph, whole), shape]);
  const turned = graph.node('Transpose', [cut], { perm: [2, 0, 3, 4, 1, 5] });
  const results = bandsOf(outHeight, rowsInCache(block, filled, outWidth)).map(([start, end]) => {
    const band = [start, end + kernel - 1] as const;
    const input = reorderInput(graph, slice(graph, framed, 1, band), 'channels-last');
    const kernels = graph.node('Reshape', [
      slice(graph, turned, 2, [start, end]),
      graph.ints('shape', [out, filled, end - start, outWidth]),
    ]);
    return convolveBlocks(graph, [input, kernels], [end - start, outWidth], out, 0);
  });
  const [only = ''] = results;
  const sum = results.length === 1 ? only : graph.node('Sum', results);
  return graph.node('Transpose', [sum], { perm: [1, 0, 2, 3] });
}

/** ONNX Runtime runs through the kernels of so many blocks at once, for every row of a result. */
const BLOCKS_AT_ONCE = 4;
const CACHE_BYTES = 2 * 1_024 ** 2;

function rowsInCache(block: number, images: number, width: number): number {
  const rowBytes = BLOCKS_AT_ONCE * block * images * width * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(1, Math.floor(CACHE_BYTES / rowBytes));
}

/** Ranges of at most `limit` that make up 0 to `size`. */
function bandsOf(size: number, limit: number): (readonly [start: number, end: number])[] {
  const count = Math.ceil(size / limit);
  const edge = (index: number): number => Math.round((index * size) / count);
  return Array.from({ length: count }, (_, index) => [edge(index), edge(index + 1)] as const);
}

function slice(
  graph: GraphBuilder,
  tensor: string,
  axis: number,
  [start, end]: readonly [start: number, end: number],
): string {
  const [starts, ends, axes] = [[start], [end], [axis]].map((values) => graph.ints('slice', values));
  return graph.node('Slice', [tensor, starts ?? '', ends ?? '', axes ?? '']);
}

function padded(graph: GraphBuilder, tensor: string, pads: readonly number[]): string {
  return pads.every((size) => size === 0) ? tensor : graph.node('Pad', [tensor, graph.ints('pads', pads)]);
}
