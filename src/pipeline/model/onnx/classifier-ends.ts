/**
 * What imagemill puts around a network: from uint8 pixels to its input, and from its scores to the top k.
 * Shared by our own architectures and by ONNX files that others wrote, hence the attention to opsets.
 */
import type { Preprocessing } from '../../../contract/model-card.ts';
import { DATA_TYPE, encodeValueInfo, type Dimension, type GraphBuilder } from './graph-builder.ts';
import type { ProtoWriter } from './protobuf.ts';

/** From this opset on, TopK takes k as an input. */
const TOP_K_INPUT_OPSET = 10;
/** From this opset on, ReduceMean takes its axes as an input. */
const REDUCE_MEAN_INPUT_OPSET = 18;

/** Name of the batch dimension where it is symbolic. */
export const BATCH_DIMENSION = 'batch';

export interface CompileOptions {
  /** Classes to report per item; cut to the number of classes. */
  readonly topK: number;
  /** Items per batch. */
  readonly batchSize: number;
  /** 1: centre crop. 10: corners and centre with their mirror images, softmax averaged (Krizhevsky et al. 2012). */
  readonly crops: 1 | 10;
  readonly embeddings: boolean;
  /** Adds an output with the scores as the network gives them, (rows, classes) float32; rows are crops. */
  readonly rawScores?: boolean;
}

export const CROPS_PER_ITEM = { 1: 1, 10: 5 } as const;
/** Network inputs per item: the decoder's crops and, of ten, the mirrored half. */
export const ROWS_PER_ITEM = { 1: 1, 10: 10 } as const;

export interface NetworkInput {
  readonly layout: 'nchw' | 'nhwc';
  readonly type: 'float' | 'float16' | 'uint8';
  readonly width: number;
}

/**
 * uint8 (rows, H, W, 3) RGB → the network's input. With ten crops the mirrored rows follow the plain ones.
 * `mean` and `std` are in the order of `channelOrder`.
 * @param output name that the result shall have
 */
export function appendPreprocessing(
  graph: GraphBuilder,
  images: string,
  preprocessing: Preprocessing,
  input: NetworkInput,
  crops: 1 | 10,
  output?: string,
): string {
  const { scale, mean, std, channelOrder } = preprocessing;
  const steps: ((from: string, to?: string) => string)[] = [];
  if (crops === 10) {
    const reversed = Array.from({ length: input.width }, (_, index) => input.width - 1 - index);
    steps.push((from, to) => {
      const mirrored = graph.node('Gather', [from, graph.ints('columns', reversed)], { axis: 2 });
      return graph.node('Concat', [from, mirrored], { axis: 0 }, to);
    });
  }
  const nchw = input.layout === 'nchw';
  if (nchw) steps.push((from, to) => graph.node('Transpose', [from], { perm: [0, 3, 1, 2] }, to));
  if (channelOrder === 'bgr') {
    const axis = nchw ? 1 : 3;
    steps.push((from, to) => graph.node('Gather', [from, graph.ints('channels', [2, 1, 0])], { axis }, to));
  }
  if (input.type !== 'uint8') {
    const shape = nchw ? [3, 1, 1] : [3];
    const factor = Float32Array.from(std, (deviation) => scale / deviation);
    const offset = Float32Array.from(mean, (value, channel) => -value / (std[channel] ?? 1));
    steps.push((from, to) => graph.node('Cast', [from], { to: DATA_TYPE.float }, to));
    if (factor.some((value) => value !== 1)) {
      steps.push((from, to) => graph.node('Mul', [from, graph.floats('factor', shape, factor)], {}, to));
    }
    if (offset.some((value) => value !== 0)) {
      steps.push((from, to) => graph.node('Add', [from, graph.floats('offset', shape, offset)], {}, to));
    }
    if (input.type === 'float16') {
      steps.push((from, to) => graph.node('Cast', [from], { to: DATA_TYPE.float16 }, to));
    }
  }
  if (steps.length === 0) steps.push((from, to) => graph.node('Identity', [from], {}, to));
  return steps.reduce(
    (from, step, index) => step(from, index === steps.length - 1 ? output : undefined),
    images,
  );
}

export interface NetworkOutput {
  /** (rows, classes) float32. */
  readonly scores: string;
  readonly classes: number;
  readonly kind: 'logits' | 'probabilities';
  /** (rows, size) float32, or null. */
  readonly embedding: { readonly name: string; readonly size: number } | null;
}

/**
 * Scores → softmax → mean over crops → top k. Returns the graph's outputs in their fixed order: ids (int32), scores,
 * then the embedding and the raw scores where asked for.
 */
export function appendTopK(
  graph: GraphBuilder,
  network: NetworkOutput,
  options: CompileOptions,
  batch: Dimension,
  opset: number,
): ProtoWriter[] {
  const { scores, classes, embedding } = network;
  const topK = Math.min(options.topK, classes);
  const softmax = network.kind === 'logits' ? graph.node('Softmax', [scores], { axis: 1 }) : scores;
  const probabilities = averageCrops(graph, softmax, classes, options.crops, opset);
  const names = { ids: graph.freeName('ids'), scores: graph.freeName('scores') };
  const wideIds = graph.uniqueName('ids');
  if (opset < TOP_K_INPUT_OPSET) {
    graph.nodeWithOutputs('TopK', [probabilities], [names.scores, wideIds], { axis: 1, k: topK });
  } else {
    const k = graph.ints('k', [topK]);
    graph.nodeWithOutputs('TopK', [probabilities, k], [names.scores, wideIds], { axis: 1 });
  }
  graph.node('Cast', [wideIds], { to: DATA_TYPE.int32 }, names.ids);
  const outputs = [
    encodeValueInfo(names.ids, DATA_TYPE.int32, [batch, topK]),
    encodeValueInfo(names.scores, DATA_TYPE.float, [batch, topK]),
  ];
  if (options.embeddings && embedding !== null) {
    const mean = averageCrops(graph, embedding.name, embedding.size, options.crops, opset);
    const name = graph.node('Identity', [mean], {}, graph.freeName('embedding'));
    outputs.push(encodeValueInfo(name, DATA_TYPE.float, [batch, embedding.size]));
  }
  if (options.rawScores === true) {
    const name = graph.node('Identity', [scores], {}, graph.freeName('raw_scores'));
    const rows = typeof batch === 'number' ? batch * ROWS_PER_ITEM[options.crops] : 'rows';
    outputs.push(encodeValueInfo(name, DATA_TYPE.float, [rows, classes]));
  }
  return outputs;
}

/** (2 × N × 5, size) → (N, size): rows are mirror, item, crop, as {@link appendPreprocessing} arranges them. */
function averageCrops(graph: GraphBuilder, rows: string, size: number, crops: 1 | 10, opset: number): string {
  if (crops === 1) return rows;
  const shape = graph.ints('shape', [2, -1, 5, size]);
  const split = graph.node('Reshape', [rows, shape]);
  const axes = [0, 2];
  return opset < REDUCE_MEAN_INPUT_OPSET
    ? graph.node('ReduceMean', [split], { axes, keepdims: 0 })
    : graph.node('ReduceMean', [split, graph.ints('axes', axes)], { keepdims: 0 });
}
