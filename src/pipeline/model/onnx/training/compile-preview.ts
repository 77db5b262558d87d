import { DATA_TYPE, encodeValueInfo, GraphBuilder } from '../graph-builder.ts';
import { colourInputs, colourValues, encode } from './graph-ends.ts';
import { appendColour } from './pixels.ts';
import { TENSOR, type OnnxTrainingNetwork } from './training-network.ts';

/** The minibatch as the network sees it before normalisation, rounded: (rows, H, W, 3) uint8. */
export function compilePreview(network: OnnxTrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const { microBatchSize: rows, architecture } = network;
  const { height, width } = architecture.input;
  const pixels = appendColour(graph, TENSOR.images, colourInputs(network), { rows, height, width });
  const limits = [0, 255].map((value) => graph.floats('limit', [], Float32Array.of(value)));
  const rounded = graph.node('Round', [graph.node('Clip', [pixels, ...limits])]);
  const bytes = graph.node('Cast', [rounded], { to: DATA_TYPE.uint8 });
  graph.node('Transpose', [bytes], { perm: [0, 2, 3, 1] }, 'preview');
  const shape = [rows, height, width, 3];
  const inputs = [
    encodeValueInfo(TENSOR.images, DATA_TYPE.uint8, shape),
    ...(network.colour ? colourValues(rows) : []),
  ];
  const output = encodeValueInfo('preview', DATA_TYPE.uint8, shape);
  return encode('preview', graph, inputs, [output], network);
}
