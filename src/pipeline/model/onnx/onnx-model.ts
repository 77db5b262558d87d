/** Reads the structure of an ONNX file; nodes and tensors stay views of its bytes, to be written again unchanged. */
import { ImagemillError } from '../../../contract/errors.ts';
import { quoted } from '../weights/faults.ts';
import { elementCount, isSize } from '../weights/state-dict.ts';
import { findExternalTensor } from './external-data.ts';
import { encodeMetadata } from './graph-builder.ts';
import { ProtobufError, ProtoWriter, readFields, repeatedInts, type ProtoField } from './protobuf.ts';

const MODEL_FIELD = { irVersion: 1, graph: 7, opset: 8, metadata: 14 } as const;
const GRAPH_FIELD = { node: 1, initializer: 5, input: 11, output: 12 } as const;

/** A dimension that is neither fixed nor named is null. */
export interface TensorInfo {
  readonly name: string;
  /** TensorProto.DataType; 0 where the file does not say. */
  readonly type: number;
  /** Null where the file does not say. */
  readonly shape: readonly (number | string | null)[] | null;
}

export interface OnnxNode {
  readonly operator: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integer attributes by name. */
  readonly integers: ReadonlyMap<string, number>;
}

export interface OnnxModel {
  readonly irVersion: number;
  /** Version of the default operator set. */
  readonly opset: number;
  readonly metadata: ReadonlyMap<string, string>;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Shapes of the constant tensors by name. */
  readonly initializers: ReadonlyMap<string, readonly number[]>;
  /** Elements of all constant tensors together. */
  readonly parameters: number;
  readonly fields: readonly ProtoField[];
  readonly graphFields: readonly ProtoField[];
}

/**
 * @param where the file, for messages
 * @throws ImagemillError MODEL_CORRUPT; MODEL_FORMAT_UNKNOWN for weights in files of their own
 */
export function readOnnxModel(bytes: Uint8Array, where: string): OnnxModel {
  try {
    return parseModel(bytes, where);
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw new ImagemillError('MODEL_CORRUPT', `${where}: not a complete ONNX file (${error.message})`, {
      cause: error,
    });
  }
}

/** The same model with these entries of `metadata_props` set; all else stays byte for byte. */
export function withMetadata(model: OnnxModel, entries: Readonly<Record<string, string>>): Uint8Array {
  const writer = new ProtoWriter();
  for (const field of model.fields) {
    if (field.field === MODEL_FIELD.metadata && Object.hasOwn(entries, readEntry(field.bytes)[0])) continue;
    writer.raw(field.raw);
  }
  for (const [key, value] of Object.entries(entries)) {
    writer.message(MODEL_FIELD.metadata, encodeMetadata(key, value));
  }
  return writer.finish();
}

export interface GraphChanges {
  /** Nodes and constants that come before and after the model's own. */
  readonly before: readonly ProtoWriter[];
  readonly after: readonly ProtoWriter[];
  readonly constants: readonly ProtoWriter[];
  readonly input: ProtoWriter;
  readonly outputs: readonly ProtoWriter[];
}

/** From this IR version on, constants need not be inputs; those that are not can be folded and prepacked. */
const CONSTANTS_OUTSIDE_INPUTS_IR = 4;

/** The model with its graph extended at both ends; nodes, tensors, functions and opsets of the file stay as they are. */
export function withGraphChanges(model: OnnxModel, changes: GraphChanges): Uint8Array {
  const graph = new ProtoWriter();
  for (const node of changes.before) graph.message(GRAPH_FIELD.node, node);
  for (const field of model.graphFields) if (field.field === GRAPH_FIELD.node) graph.raw(field.raw);
  for (const node of changes.after) graph.message(GRAPH_FIELD.node, node);
  const replaced: readonly number[] = [GRAPH_FIELD.node, GRAPH_FIELD.input, GRAPH_FIELD.output];
  for (const field of model.graphFields) if (!replaced.includes(field.field)) graph.raw(field.raw);
  for (const constant of changes.constants) graph.message(GRAPH_FIELD.initializer, constant);
  graph.message(GRAPH_FIELD.input, changes.input);
  for (const output of changes.outputs) graph.message(GRAPH_FIELD.output, output);

  const irVersion = Math.max(model.irVersion, CONSTANTS_OUTSIDE_INPUTS_IR);
  const writer = new ProtoWriter().int(MODEL_FIELD.irVersion, irVersion);
  for (const field of model.fields) {
    if (field.field === MODEL_FIELD.graph) writer.message(MODEL_FIELD.graph, graph);
    else if (field.field !== MODEL_FIELD.irVersion) writer.raw(field.raw);
  }
  return writer.finish();
}

function parseModel(bytes: Uint8Array, where: string): OnnxModel {
  const fields = readFields(bytes);
  const corrupt = (what: string): ImagemillError =>
    new ImagemillError('MODEL_CORRUPT', `${where}: an ONNX file ${what}`);
  const graph = last(fields, MODEL_FIELD.graph);
  if (graph === undefined) throw corrupt('without a graph');
  const graphFields = readFields(graph.bytes);
  const nodes = of(graphFields, GRAPH_FIELD.node).map((field) => readNode(field.bytes));
  if (nodes.length === 0) throw corrupt('without nodes');

  const irVersion = last(fields, MODEL_FIELD.irVersion)?.int ?? 0;
  if (!isSize(irVersion)) throw corrupt('with an impossible version');

  refuseOtherFiles(fields, where, corrupt);
  const initializers = new Map<string, readonly number[]>();
  let parameters = 0;
  for (const field of of(graphFields, GRAPH_FIELD.initializer)) {
    const tensor = readTensorHeader(field.bytes);
    const count = elementCount(tensor.shape);
    if (count === null || !isSize(parameters + count)) {
      throw corrupt(`with an impossible shape of tensor ${quoted(tensor.name)}`);
    }
    initializers.set(tensor.name, tensor.shape);
    parameters += count;
  }
  const opset = of(fields, MODEL_FIELD.opset)
    .map((field) => readFields(field.bytes))
    .find((entry) => ['', 'ai.onnx'].includes(text(entry, 1)));
  return {
    irVersion,
    opset: opset === undefined ? 1 : (last(opset, 2)?.int ?? 1),
    metadata: new Map(of(fields, MODEL_FIELD.metadata).map((field) => readEntry(field.bytes))),
    nodes,
    inputs: of(graphFields, GRAPH_FIELD.input).map((field) => readTensorInfo(field.bytes)),
    outputs: of(graphFields, GRAPH_FIELD.output).map((field) => readTensorInfo(field.bytes)),
    initializers,
    parameters,
    fields,
    graphFields,
  };
}

function readNode(bytes: Uint8Array): OnnxNode {
  const fields = readFields(bytes);
  const integers = of(fields, 5).flatMap((field): [string, number][] => {
    const attribute = readFields(field.bytes);
    const value = last(attribute, 3);
    return value === undefined ? [] : [[text(attribute, 1), value.int]];
  });
  return {
    operator: text(fields, 4),
    domain: text(fields, 7),
    inputs: of(fields, 1).map((field) => decodeText(field.bytes)),
    outputs: of(fields, 2).map((field) => decodeText(field.bytes)),
    integers: new Map(integers),
  };
}

function readTensorHeader(bytes: Uint8Array): { name: string; shape: number[] } {
  const fields = readFields(bytes);
  return { name: text(fields, 8), shape: repeatedInts(fields, 1) };
}

function refuseOtherFiles(
  fields: readonly ProtoField[],
  where: string,
  corrupt: (what: string) => ImagemillError,
): void {
  let tensor: string | null;
  try {
    tensor = findExternalTensor(fields);
  } catch (error) {
    throw error instanceof RangeError ? corrupt(`with ${error.message}`) : error;
  }
  if (tensor === null) return;
  throw new ImagemillError(
    'MODEL_FORMAT_UNKNOWN',
    `${where}: expected an ONNX file that holds its weights, got one that refers to another file for tensor ` +
      `${quoted(tensor)}; save the model as a single file`,
  );
}

function readTensorInfo(bytes: Uint8Array): TensorInfo {
  const fields = readFields(bytes);
  const type = readFields(last(fields, 2)?.bytes ?? new Uint8Array());
  const tensor = readFields(last(type, 1)?.bytes ?? new Uint8Array());
  const shape = last(tensor, 2);
  return {
    name: text(fields, 1),
    type: last(tensor, 1)?.int ?? 0,
    shape:
      shape === undefined ? null : of(readFields(shape.bytes), 1).map((field) => readDimension(field.bytes)),
  };
}

/** Zero and negative sizes are what some exporters write for "any". */
function readDimension(bytes: Uint8Array): number | string | null {
  const fields = readFields(bytes);
  const size = last(fields, 1);
  if (size !== undefined) return size.int > 0 ? size.int : null;
  return text(fields, 2) || null;
}

function readEntry(bytes: Uint8Array): [string, string] {
  const fields = readFields(bytes);
  return [text(fields, 1), text(fields, 2)];
}

function of(fields: readonly ProtoField[], field: number): ProtoField[] {
  return fields.filter((entry) => entry.field === field);
}

/** Of a field that is not repeated, the last one counts. */
function last(fields: readonly ProtoField[], field: number): ProtoField | undefined {
  return fields.findLast((entry) => entry.field === field);
}

function text(fields: readonly ProtoField[], field: number): string {
  return decodeText(last(fields, field)?.bytes ?? new Uint8Array());
}

function decodeText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
