/** Writes ONNX graphs (onnx/onnx.proto; field numbers are the file's). */
import { ProtoWriter } from './protobuf.ts';

/** TensorProto.DataType. */
export const DATA_TYPE = { float: 1, uint8: 2, int32: 6, int64: 7, float16: 10 } as const;

const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** Operators that ONNX Runtime's own optimizer uses for convolutions over blocks of channels. */
export const NCHWC_DOMAIN = 'com.microsoft.nchwc';

/** Plain numbers are INT attributes and arrays INTS. */
export type Attribute = number | readonly number[] | string | { readonly float: number };

/** A number is a fixed dimension, a string the name of a symbolic one. */
export type Dimension = number | string;

/** The nodes and constants of a graph under construction. Tensors are referred to by name. */
export class GraphBuilder {
  readonly nodes: ProtoWriter[] = [];
  readonly initializers: ProtoWriter[] = [];
  readonly #prefix: string;
  readonly #isTaken: (name: string) => boolean;
  #count = 0;

  /**
   * @param prefix begins every name that the builder makes
   * @param isTaken names that the graph has already
   */
  constructor(prefix = '', isTaken: (name: string) => boolean = () => false) {
    this.#prefix = prefix;
    this.#isTaken = isTaken;
  }

  /** A name that no other tensor or node of the graph has. */
  uniqueName(hint: string): string {
    for (;;) {
      const name = `${this.#prefix}${hint}_${this.#count++}`;
      if (!this.#isTaken(name)) return name;
    }
  }

  /** `wanted` itself where it is free, else a unique name that begins with the prefix. */
  freeName(wanted: string): string {
    return this.#isTaken(wanted) ? this.uniqueName(wanted) : wanted;
  }

  /** Adds a node with one output and returns the output's name. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute> = {},
    output?: string,
    domain = '',
  ): string {
    const name = output ?? this.uniqueName(operator);
    this.nodeWithOutputs(operator, inputs, [name], attributes, domain);
    return name;
  }

  nodeWithOutputs(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Record<string, Attribute> = {},
    domain = '',
  ): void {
    const writer = new ProtoWriter();
    for (const input of inputs) writer.string(1, input);
    for (const output of outputs) writer.string(2, output);
    writer.string(3, this.uniqueName('node')).string(4, operator);
    for (const [name, value] of Object.entries(attributes)) writer.message(5, encodeAttribute(name, value));
    if (domain !== '') writer.string(7, domain);
    this.nodes.push(writer);
  }

  /** Adds a float32 constant; `data` must not change before the graph is encoded. */
  floats(hint: string, shape: readonly number[], data: Float32Array, name = this.uniqueName(hint)): string {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return this.#tensor(name, DATA_TYPE.float, shape, bytes);
  }

  /** Adds a vector of int64. */
  ints(hint: string, values: readonly number[]): string {
    const data = BigInt64Array.from(values, (value) => BigInt(value));
    return this.#tensor(this.uniqueName(hint), DATA_TYPE.int64, [values.length], new Uint8Array(data.buffer));
  }

  #tensor(name: string, type: number, shape: readonly number[], data: Uint8Array): string {
    const writer = new ProtoWriter();
    for (const size of shape) writer.int(1, size);
    this.initializers.push(writer.int(2, type).string(8, name).bytes(9, data));
    return name;
  }
}

/** ValueInfoProto of a tensor; a null shape leaves even the rank open. */
export function encodeValueInfo(name: string, type: number, shape: readonly Dimension[] | null): ProtoWriter {
  const tensor = new ProtoWriter().int(1, type);
  if (shape !== null) tensor.message(2, encodeShape(shape));
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, tensor));
}

function encodeShape(shape: readonly Dimension[]): ProtoWriter {
  const dimensions = new ProtoWriter();
  for (const size of shape) {
    const dimension = new ProtoWriter();
    if (typeof size === 'number') dimension.int(1, size);
    else dimension.string(2, size);
    dimensions.message(1, dimension);
  }
  return dimensions;
}

/** StringStringEntryProto. */
export function encodeMetadata(key: string, value: string): ProtoWriter {
  return new ProtoWriter().string(1, key).string(2, value);
}

/** OperatorSetIdProto, of the default domain unless another is given. */
export function encodeOpset(version: number, domain = ''): ProtoWriter {
  return new ProtoWriter().string(1, domain).int(2, version);
}

function encodeAttribute(name: string, value: Attribute): ProtoWriter {
  const writer = new ProtoWriter().string(1, name);
  if (typeof value === 'number') return writer.int(3, value).int(20, ATTRIBUTE_TYPE.int);
  if (typeof value === 'string') {
    return writer.string(4, value).int(20, ATTRIBUTE_TYPE.string);
  }
  if ('float' in value) return writer.float(2, value.float).int(20, ATTRIBUTE_TYPE.float);
  for (const item of value) writer.int(8, item);
  return writer.int(20, ATTRIBUTE_TYPE.ints);
}
