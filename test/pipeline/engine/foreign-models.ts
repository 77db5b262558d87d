/** Little ONNX classifiers in every form that exporters write. */
import {
  DATA_TYPE,
  encodeMetadata,
  encodeValueInfo,
} from '../../../src/pipeline/model/onnx/graph-builder.ts';
import { ProtoWriter } from '../../../src/pipeline/model/onnx/protobuf.ts';

export interface ForeignModel {
  readonly layout?: 'nchw' | 'nhwc';
  readonly type?: 'float' | 'float16' | 'uint8';
  readonly batch?: number | string;
  readonly side?: number | string;
  readonly opset?: number;
  readonly irVersion?: number;
  readonly head?: 'logits' | 'softmax' | 'softmax-4d' | 'divided-softmax';
  readonly metadata?: Readonly<Record<string, string>>;
  readonly constantsAsInputs?: boolean;
  readonly external?: boolean;
  readonly inputRank?: number;
  /** Names of the input and the output. */
  readonly names?: readonly [string, string];
}

const FOREIGN_CLASSES = 4;

/** (4, 3): one row per class. */
const WEIGHT = [1, -0.5, 0.25, -1, 0.5, 0.75, 0.125, 1, -0.25, 0.5, -1, 1];
const BIAS = [0.5, -0.25, 0, 0.125];

/** Mean colour → linear: scores = W · mean + b. */
export function foreignLogits(meanColour: readonly number[]): number[] {
  return BIAS.map((bias, row) =>
    meanColour.reduce((sum, value, column) => sum + value * (WEIGHT[row * 3 + column] ?? 0), bias),
  );
}

/** Serialized model: input → (transpose) → global average → flatten → Gemm → head. */
export function buildForeign(model: ForeignModel = {}): Uint8Array {
  const { layout = 'nchw', type = 'float', batch = 'n', side = 8, opset = 13, head = 'logits' } = model;
  const [input, output] = model.names ?? ['data', 'prob'];
  const floatType = type === 'float16' ? DATA_TYPE.float16 : DATA_TYPE.float;
  const graph = new ProtoWriter();
  let current = input;
  let count = 0;
  const node = (
    operator: string,
    inputs: string[],
    attributes: Record<string, number | number[]> = {},
    to?: string,
  ): void => {
    const writer = new ProtoWriter();
    for (const name of inputs) writer.string(1, name);
    current = to ?? `t${count++}`;
    writer.string(2, current).string(4, operator);
    for (const [name, value] of Object.entries(attributes)) writer.message(5, attribute(name, value));
    graph.message(1, writer);
  };
  if (type === 'uint8') node('Cast', [current], { to: DATA_TYPE.float });
  if (layout === 'nhwc') node('Transpose', [current], { perm: [0, 3, 1, 2] });
  node('GlobalAveragePool', [current]);
  const pooled = current;
  if (head !== 'softmax-4d') node('Flatten', [pooled], { axis: 1 });
  if (head === 'softmax-4d') {
    node('Conv', [pooled, 'W4', 'B'], { kernel_shape: [1, 1] });
    node('Softmax', [current], { axis: 1 }, output);
  } else {
    node('Gemm', [current, 'W', 'B'], { transB: 1 }, head === 'logits' ? output : undefined);
    if (head === 'softmax') node('Softmax', [current], { axis: 1 }, output);
    if (head === 'divided-softmax') {
      node('Exp', [current]);
      const powers = current;
      node('ReduceSum', opset < 13 ? [powers] : [powers, 'axes'], opset < 13 ? { axes: [1] } : {});
      node('Div', [powers, current], {}, output);
    }
  }
  graph.string(2, 'foreign');
  const constants: [string, readonly number[], readonly number[]][] = [
    ['W', [4, 3], WEIGHT],
    ['W4', [4, 3, 1, 1], WEIGHT],
    ['B', [4], BIAS],
  ];
  for (const [name, shape, values] of constants)
    graph.message(5, tensor(name, floatType, shape, values, model.external === true));
  graph.message(
    5,
    new ProtoWriter()
      .int(1, 1)
      .int(2, DATA_TYPE.int64)
      .string(8, 'axes')
      .bytes(9, new Uint8Array(BigInt64Array.of(1n).buffer)),
  );
  const sizes = layout === 'nchw' ? [batch, 3, side, side] : [batch, side, side, 3];
  graph.message(11, encodeValueInfo(input, DATA_TYPE[type], sizes.slice(0, model.inputRank ?? 4)));
  if (model.constantsAsInputs === true)
    for (const [name, shape] of constants) graph.message(11, encodeValueInfo(name, floatType, shape));
  const trailing = head === 'softmax-4d' ? [1, 1] : [];
  graph.message(12, encodeValueInfo(output, floatType, [batch, FOREIGN_CLASSES, ...trailing]));
  const file = new ProtoWriter()
    .int(1, model.irVersion ?? 7)
    .message(7, graph)
    .message(8, new ProtoWriter().int(2, opset));
  for (const [key, value] of Object.entries(model.metadata ?? {}))
    file.message(14, encodeMetadata(key, value));
  return file.finish();
}

function attribute(name: string, value: number | number[]): ProtoWriter {
  const writer = new ProtoWriter().string(1, name);
  if (typeof value === 'number') return writer.int(3, value).int(20, 2);
  for (const item of value) writer.int(8, item);
  return writer.int(20, 7);
}

function tensor(
  name: string,
  type: number,
  shape: readonly number[],
  values: readonly number[],
  external: boolean,
): ProtoWriter {
  const writer = new ProtoWriter();
  for (const size of shape) writer.int(1, size);
  writer.int(2, type).string(8, name);
  if (external) return writer.message(13, encodeMetadata('location', 'weights.bin')).int(14, 1);
  const data = type === DATA_TYPE.float16 ? Uint16Array.from(values, halfBits) : Float32Array.from(values);
  return writer.bytes(9, new Uint8Array(data.buffer));
}

/** Bits of a float16 for the short fractions above: sign, exponent, and the first ten bits of the mantissa. */
function halfBits(value: number): number {
  if (value === 0) return 0;
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  const mantissa = (Math.abs(value) / 2 ** exponent - 1) * 1024;
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | mantissa;
}
