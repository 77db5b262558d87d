/** A finished graph → the bytes of an ONNX file (ModelProto). */
import { encodeMetadata, encodeOpset, NCHWC_DOMAIN, type GraphBuilder } from './graph-builder.ts';
import { ProtoWriter } from './protobuf.ts';

const IR_VERSION = 8;
/** Version of the default operator set in the graphs that we write. */
export const OPSET = 17;

export interface ModelParts {
  readonly name: string;
  readonly graph: GraphBuilder;
  readonly inputs: readonly ProtoWriter[];
  readonly outputs: readonly ProtoWriter[];
  /** Entries of `metadata_props`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Whether nodes of ONNX Runtime's own domain for blocked convolutions occur. */
  readonly blocked?: boolean;
}

/** Copies the constants once, into the result. */
export function encodeModel({
  name,
  graph,
  inputs,
  outputs,
  metadata = {},
  blocked = false,
}: ModelParts): Uint8Array {
  const writer = new ProtoWriter();
  for (const node of graph.nodes) writer.message(1, node);
  writer.string(2, name);
  for (const tensor of graph.initializers) writer.message(5, tensor);
  for (const input of inputs) writer.message(11, input);
  for (const output of outputs) writer.message(12, output);
  const model = new ProtoWriter()
    .int(1, IR_VERSION)
    .string(2, 'imagemill')
    .message(7, writer)
    .message(8, encodeOpset(OPSET));
  if (blocked) model.message(8, encodeOpset(1, NCHWC_DOMAIN));
  for (const [key, value] of Object.entries(metadata)) model.message(14, encodeMetadata(key, value));
  return model.finish();
}
