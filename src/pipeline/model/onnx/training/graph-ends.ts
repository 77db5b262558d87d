/** Inputs, outputs and bytes that the graphs of training have in common. */
import { encodeModel } from '../encode-model.ts';
import { DATA_TYPE, encodeValueInfo, type GraphBuilder } from '../graph-builder.ts';
import type { ProtoWriter } from '../protobuf.ts';
import type { Loss } from './loss.ts';
import type { ColourInputs } from './pixels.ts';
import { TENSOR, type OnnxTrainingNetwork } from './training-network.ts';

export function imageInputs({
  architecture,
  microBatchSize: rows,
  colour,
}: OnnxTrainingNetwork): ProtoWriter[] {
  const { height, width } = architecture.input;
  const inputs = [
    encodeValueInfo(TENSOR.images, DATA_TYPE.uint8, [rows, height, width, 3]),
    encodeValueInfo(TENSOR.labels, DATA_TYPE.int64, [rows]),
  ];
  return colour ? [...inputs, ...colourValues(rows)] : inputs;
}

export function colourValues(rows: number): ProtoWriter[] {
  return [
    encodeValueInfo(TENSOR.matrices, DATA_TYPE.float, [rows, 3, 3]),
    encodeValueInfo(TENSOR.greyShifts, DATA_TYPE.float, [rows]),
    encodeValueInfo(TENSOR.shifts, DATA_TYPE.float, [rows, 3]),
  ];
}

export function colourInputs({ colour }: OnnxTrainingNetwork): ColourInputs | null {
  if (!colour) return null;
  return { matrices: TENSOR.matrices, greyShifts: TENSOR.greyShifts, shifts: TENSOR.shifts };
}

export function nameStatistics(graph: GraphBuilder, loss: Loss): void {
  graph.node('Identity', [loss.lossSum], {}, TENSOR.lossSum);
  graph.node('Identity', [loss.top1], {}, TENSOR.top1);
  graph.node('Identity', [loss.top5], {}, TENSOR.top5);
}

export function encode(
  name: string,
  graph: GraphBuilder,
  inputs: readonly ProtoWriter[],
  outputs: readonly ProtoWriter[],
  { architecture, form }: OnnxTrainingNetwork,
): Uint8Array {
  const blocked = form.kind === 'blocked';
  return encodeModel({ name: `${architecture.name} ${name}`, graph, inputs, outputs, blocked });
}
