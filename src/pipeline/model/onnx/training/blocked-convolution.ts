/** Convolutions without stride over blocks of channels, the gradient of the weights as one large product. */
import { NCHWC_DOMAIN, type GraphBuilder } from '../graph-builder.ts';
import {
  concat,
  type PlainConv,
  type PlainDifferentiated,
  type PlainParameters,
} from './plain-convolution.ts';
import { standardConvolution } from './standard-convolution.ts';

/**
 * Blocked operators where the channels fill whole blocks, standard ones elsewhere.
 * @param block channels of a block
 */
export function blockedConvolution(
  graph: GraphBuilder,
  block: number,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  const pixels = graph.node('Transpose', [input], { perm: [0, 2, 3, 1] });
  return channelsLastConvolution(graph, block, conv, pixels, parameters);
}

/**
 * The same over pixels, (rows, height, width, channels): a window is a few runs of whole pixels there.
 */
export function channelsLastConvolution(
  graph: GraphBuilder,
  block: number,
  conv: PlainConv,
  input: string,
  parameters: PlainParameters,
): PlainDifferentiated {
  const { channels, out, kernel, pad } = conv;
  const { weight, bias } = parameters;
  const weightGradient = (gradient: string): string => productOfWindows(graph, conv, input, gradient);
  // Mirrored kernels need a padding of kernel − 1 − pad, which must not be negative.
  if (channels % block !== 0 || out % block !== 0 || pad >= kernel) {
    const planes = graph.node('Transpose', [input], { perm: [0, 3, 1, 2] });
    return { ...standardConvolution(graph, conv, planes, parameters), weightGradient };
  }
  return {
    output: convolveBlocks(graph, block, [input, weight, bias], conv, { pad, channelsLast: true }),
    /** A convolution with the kernels mirrored, and their inputs and outputs exchanged. */
    inputGradient(gradient) {
      const exchanged = graph.node('Transpose', [weight], { perm: [1, 0, 2, 3] });
      const order = Array.from({ length: kernel }, (_, index) => kernel - 1 - index);
      const mirror = graph.ints('mirror', order);
      const rows = graph.node('Gather', [exchanged, mirror], { axis: 2 });
      const mirrored = graph.node('Gather', [rows, mirror], { axis: 3 });
      const reversed = { channels: out, out: channels, kernel };
      return convolveBlocks(graph, block, [gradient, mirrored], reversed, {
        pad: kernel - 1 - pad,
        channelsLast: false,
      });
    },
    weightGradient,
  };
}

function convolveBlocks(
  graph: GraphBuilder,
  block: number,
  [input, weight, ...bias]: readonly [input: string, weight: string, ...bias: string[]],
  { channels, out, kernel }: Pick<PlainConv, 'channels' | 'out' | 'kernel'>,
  { pad, channelsLast }: { readonly pad: number; readonly channelsLast: boolean },
): string {
  const order = channelsLast ? { channels_last: 1 } : {};
  const reordered = graph.node('ReorderInput', [input], order, undefined, NCHWC_DOMAIN);
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
  const padded =
    pad === 0 ? input : graph.node('Pad', [input, graph.ints('pads', [0, pad, pad, 0, 0, pad, pad, 0])]);
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
    graph.node('Transpose', [gradient], { perm: [1, 0, 2, 3] }),
    graph.ints('shape', [out, positions]),
  ]);
  const right = graph.node('Reshape', [concat(graph, windows, 3), graph.ints('shape', [positions, size])]);
  const product = graph.node('Gemm', [left, right]);
  const kernels = graph.node('Reshape', [product, graph.ints('shape', [out, kernel, kernel, channels])]);
  return graph.node('Transpose', [kernels], { perm: [0, 3, 1, 2] });
}
