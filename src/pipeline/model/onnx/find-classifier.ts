/** Finds, in a graph that others wrote, where images go in and where class scores come out. */
import { ImagemillError } from '../../../contract/errors.ts';
import { DATA_TYPE } from './graph-builder.ts';
import type { OnnxModel, OnnxNode, TensorInfo } from './onnx-model.ts';

/** The oldest operator set whose arithmetic broadcasts as we need it. */
const OLDEST_OPSET = 7;

/** Pixels of one batch of fixed size, uint8: as many are in memory at once. */
const MAX_BATCH_BYTES = 2 ** 30;

const IMAGE_TYPES: Readonly<Record<number, 'float' | 'float16' | 'uint8'>> = {
  [DATA_TYPE.float]: 'float',
  [DATA_TYPE.float16]: 'float16',
  [DATA_TYPE.uint8]: 'uint8',
};

/** Operators between the last linear layer and the scores. */
const PASS_THROUGH = new Set([
  'Softmax',
  'LogSoftmax',
  'Sigmoid',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Identity',
  'Cast',
  'Dropout',
  'Add',
]);
/** Operators that leave the scores what they are; what precedes them decides logits or probabilities. */
const SCORE_KEEPING = new Set(['Reshape', 'Flatten', 'Squeeze', 'Identity', 'Cast']);

export interface FoundClassifier {
  readonly input: TensorInfo;
  readonly layout: 'nchw' | 'nhwc';
  readonly type: 'float' | 'float16' | 'uint8';
  /** Fixed batch size, or null where it is symbolic. */
  readonly batch: number | null;
  /** Fixed input size, or null where it is symbolic. */
  readonly height: number | null;
  readonly width: number | null;
  readonly output: TensorInfo;
  /** Number of classes, or null where the graph does not say. */
  readonly classes: number | null;
  /** What the graph says of its output, or null where it has to be tried. */
  readonly scores: 'logits' | 'probabilities' | null;
  /** Penultimate activations, where the scores come from a linear layer. */
  readonly embedding: { readonly name: string; readonly size: number } | null;
}

/**
 * @param where the file, for messages
 * @throws ImagemillError MODEL_NOT_A_CLASSIFIER, MODEL_FORMAT_UNKNOWN (an operator set older than 7)
 */
export function findClassifier(model: OnnxModel, where: string): FoundClassifier {
  if (model.opset < OLDEST_OPSET) {
    throw new ImagemillError(
      'MODEL_FORMAT_UNKNOWN',
      `${where}: expected ONNX opset ${OLDEST_OPSET} or newer, got ${model.opset}`,
    );
  }
  const output = findScores(model, where);
  const producers = new Map(model.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  return {
    ...findImages(model, where),
    output,
    classes: fixed(output.shape?.[1]),
    scores: scoreKind(producers, output.name),
    embedding: findEmbedding(model, producers, output.name),
  };
}

type FoundInput = Pick<FoundClassifier, 'input' | 'layout' | 'type' | 'batch' | 'height' | 'width'>;

function findImages(model: OnnxModel, where: string): FoundInput {
  const fed = model.inputs.filter((input) => !model.initializers.has(input.name));
  const [input] = fed;
  const refuse = (got: string): ImagemillError =>
    new ImagemillError(
      'MODEL_NOT_A_CLASSIFIER',
      `${where}: expected one input (batch, 3, height, width) or (batch, height, width, 3) of float, float16 or uint8, got ${got}`,
    );
  if (input === undefined || fed.length > 1) {
    throw refuse(fed.length === 0 ? 'none' : `${fed.length}: ${fed.map(({ name }) => name).join(', ')}`);
  }
  const type = IMAGE_TYPES[input.type];
  const shape = input.shape;
  if (type === undefined || shape?.length !== 4) throw refuse(describeTensor(input));
  const layout = shape[1] === 3 ? 'nchw' : shape[3] === 3 ? 'nhwc' : null;
  if (layout === null) throw refuse(describeTensor(input));
  const [height, width] = layout === 'nchw' ? shape.slice(2) : shape.slice(1, 3);
  const found = { batch: fixed(shape[0]), height: fixed(height), width: fixed(width) };
  const batchBytes = (found.batch ?? 1) * (found.height ?? 1) * (found.width ?? 1) * 3;
  if (batchBytes > MAX_BATCH_BYTES) throw refuse(`${describeTensor(input)}, ${batchBytes} bytes of pixels`);
  return { input, layout, type, ...found };
}

/** The first output that can be scores: (batch, classes), trailing ones allowed; one without a shape has to be tried. */
function findScores(model: OnnxModel, where: string): TensorInfo {
  const isScores = ({ type, shape }: TensorInfo): boolean =>
    (type === DATA_TYPE.float || type === DATA_TYPE.float16 || type === 0) &&
    (shape === null ||
      (shape.length >= 2 && (fixed(shape[1]) ?? 2) >= 2 && shape.slice(2).every((size) => size === 1)));
  const found = model.outputs.find(isScores);
  if (found !== undefined) return found;
  throw new ImagemillError(
    'MODEL_NOT_A_CLASSIFIER',
    `${where}: expected a float output (batch, classes), got ${model.outputs.map(describeTensor).join(', ') || 'none'}`,
  );
}

function scoreKind(producers: ReadonlyMap<string, OnnxNode>, output: string): FoundClassifier['scores'] {
  let node = producers.get(output);
  // A damaged graph may lead back to where it began.
  const passed = new Set<OnnxNode>();
  while (node !== undefined && SCORE_KEEPING.has(node.operator) && !passed.has(node)) {
    passed.add(node);
    node = producers.get(node.inputs[0] ?? '');
  }
  if (node === undefined) return null;
  if (node.operator === 'Softmax' || node.operator === 'Sigmoid') return 'probabilities';
  return ['Gemm', 'LogSoftmax'].includes(node.operator) ? 'logits' : null;
}

function findEmbedding(
  model: OnnxModel,
  producers: ReadonlyMap<string, OnnxNode>,
  output: string,
): FoundClassifier['embedding'] {
  let node = producers.get(output);
  const passed = new Set<OnnxNode>();
  while (node !== undefined && PASS_THROUGH.has(node.operator) && !passed.has(node)) {
    passed.add(node);
    const isConstant = (name: string): boolean =>
      model.initializers.has(name) || producers.get(name)?.operator === 'Constant';
    const [from = '', second] = node.inputs.filter((name) => !isConstant(name));
    if (node.operator === 'Add' && second !== undefined) return null;
    node = producers.get(from);
  }
  if (node === undefined || (node.operator !== 'Gemm' && node.operator !== 'MatMul')) return null;
  const [name = '', weight = ''] = node.inputs;
  const shape = model.initializers.get(weight) ?? model.initializers.get(dequantized(producers, weight));
  const transposed = node.integers.get('transB') === 1;
  const size = shape?.length === 2 ? shape[transposed ? 1 : 0] : undefined;
  if (size === undefined || node.integers.get('transA') === 1) return null;
  return { name, size };
}

/** Weights of quantized and float16 models reach the linear layer through one node. */
function dequantized(producers: ReadonlyMap<string, OnnxNode>, weight: string): string {
  const node = producers.get(weight);
  const transparent = node !== undefined && ['DequantizeLinear', 'Cast', 'Identity'].includes(node.operator);
  return transparent ? (node.inputs[0] ?? '') : '';
}

function fixed(size: number | string | null | undefined): number | null {
  return typeof size === 'number' ? size : null;
}

function describeTensor({ name, type, shape }: TensorInfo): string {
  const typeName = Object.entries(DATA_TYPE).find(([, code]) => code === type)?.[0] ?? `type ${type}`;
  const sizes = shape?.map((size) => size ?? '?').join(', ') ?? 'unknown shape';
  return `${name} ${typeName} (${sizes})`;
}
