/** A convolution and its gradients with standard operators only: what works everywhere. */
import type { GraphBuilder } from '../graph-builder.ts';
import type { PlainConv, PlainDifferentiated, PlainParameters } from './plain-convolution.ts';

export function standardConvolution(
  graph: GraphBuilder,
  conv: PlainConv,
  input: string,
  { weight, bias }: PlainParameters,
): PlainDifferentiated {
  const { height, width, kernel, stride, pad } = conv;
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
  };
  const spare = { height: spareRows(conv, height), width: spareRows(conv, width) };
  return {
    output: graph.node('Conv', [input, weight, bias], attributes),
    inputGradient: (gradient) =>
      graph.node('ConvTranspose', [gradient, weight], {
        ...attributes,
        output_padding: [spare.height, spare.width],
      }),
    /** Images and channels change places: a convolution of the input with the gradient, dilated by the stride. */
    weightGradient(gradient) {
      const perm = [1, 0, 2, 3];
      const reached = cropEnd(graph, input, conv, [spare.height - pad, spare.width - pad]);
      const crossed = graph.node(
        'Conv',
        [graph.node('Transpose', [reached], { perm }), graph.node('Transpose', [gradient], { perm })],
        {
          kernel_shape: [conv.outHeight, conv.outWidth],
          dilations: [stride, stride],
          pads: [pad, pad, Math.max(0, pad - spare.height), Math.max(0, pad - spare.width)],
        },
      );
      return graph.node('Transpose', [crossed], { perm });
    },
  };
}

/** Rows (or columns) at the end of the padded input that no window reaches. */
function spareRows({ kernel, stride, pad }: PlainConv, size: number): number {
  return (size + 2 * pad - kernel) % stride;
}

/** Without the last rows and columns; a number that is not positive leaves all of them. */
function cropEnd(
  graph: GraphBuilder,
  tensor: string,
  { height, width }: PlainConv,
  [rows, columns]: readonly [rows: number, columns: number],
): string {
  if (rows <= 0 && columns <= 0) return tensor;
  const ends = [height - Math.max(0, rows), width - Math.max(0, columns)];
  return graph.node('Slice', [
    tensor,
    graph.ints('starts', [0, 0]),
    graph.ints('ends', ends),
    graph.ints('axes', [2, 3]),
  ]);
}
