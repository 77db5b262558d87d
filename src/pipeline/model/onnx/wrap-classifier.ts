/** Any ONNX image classifier, as given, between imagemill's ends. */
import { ImagemillError } from '../../../contract/errors.ts';
import type { ModelCard, Preprocessing } from '../../../contract/model-card.ts';
import type { ClassifierGraph } from '../../engine/engine.ts';
import {
  appendPreprocessing,
  appendTopK,
  BATCH_DIMENSION,
  CROPS_PER_ITEM,
  ROWS_PER_ITEM,
  type CompileOptions,
} from './classifier-ends.ts';
import type { FoundClassifier } from './find-classifier.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder, type Dimension } from './graph-builder.ts';
import { withGraphChanges, type OnnxModel } from './onnx-model.ts';

/** Begins every name that imagemill adds to a foreign graph. */
const PREFIX = 'imagemill_';

/** What of the model's card the graph depends on. */
export type WrapCard = Pick<ModelCard, 'classes' | 'scores' | 'preprocessing'>;

/**
 * Prepends the normalisation and appends softmax (to logits) and top-k. A model with a fixed batch keeps it.
 * @param where the file, for messages
 * @throws ImagemillError MODEL_NOT_A_CLASSIFIER: embeddings asked of a graph that does not show them, or crops that a
 *   fixed batch cannot hold
 */
export function wrapClassifier(
  model: OnnxModel,
  found: FoundClassifier,
  card: WrapCard,
  options: CompileOptions,
  where: string,
): ClassifierGraph {
  if (options.embeddings && found.embedding === null) {
    throw new ImagemillError(
      'MODEL_NOT_A_CLASSIFIER',
      `${where}: expected scores from a linear layer to take embeddings before it, got ${producerOf(model, found)}`,
    );
  }
  const items = itemsPerBatch(found, options, where);
  const names = takenNames(model);
  const isTaken = (name: string): boolean => names.has(name);
  const before = new GraphBuilder(`${PREFIX}in_`, isTaken);
  const after = new GraphBuilder(`${PREFIX}out_`, isTaken);
  const { height, width } = card.preprocessing.crop;
  const images = before.freeName('images');
  appendPreprocessing(
    before,
    images,
    card.preprocessing,
    { ...found, width },
    options.crops,
    found.input.name,
  );

  const scores = flatFloat(after, found.output.name, card.classes);
  const embedding =
    options.embeddings && found.embedding !== null
      ? { name: flatFloat(after, found.embedding.name, found.embedding.size), size: found.embedding.size }
      : null;
  const batch: Dimension = items.isFixed ? items.count : BATCH_DIMENSION;
  const network = { scores, classes: card.classes, kind: card.scores, embedding };
  const outputs = appendTopK(after, network, options, batch, model.opset);
  const cropsPerItem = CROPS_PER_ITEM[options.crops];
  const rows = items.isFixed ? items.count * cropsPerItem : cropsPerItem === 1 ? BATCH_DIMENSION : 'rows';
  const onnx = withGraphChanges(model, {
    before: before.nodes,
    after: after.nodes,
    constants: [...before.initializers, ...after.initializers],
    input: encodeValueInfo(images, DATA_TYPE.uint8, [rows, height, width, 3]),
    outputs,
  });
  return {
    onnx,
    batchSize: items.count,
    fixedBatch: items.isFixed,
    height,
    width,
    cropsPerItem,
    topK: Math.min(options.topK, card.classes),
    embeddingSize: embedding?.size ?? null,
  };
}

/** A graph from uint8 pixels to the model's own output (float32, whatever its rank), to see what comes out. */
export interface ProbeGraph {
  readonly onnx: Uint8Array;
  /** Images it shall be fed with: (rows, height, width, 3) uint8. */
  readonly rows: number;
}

const PROBE_ROWS = 2;

export function buildProbe(
  model: OnnxModel,
  found: FoundClassifier,
  preprocessing: Preprocessing,
): ProbeGraph {
  const names = takenNames(model);
  const before = new GraphBuilder(`${PREFIX}in_`, (name) => names.has(name));
  const after = new GraphBuilder(`${PREFIX}out_`, (name) => names.has(name));
  const { height, width } = preprocessing.crop;
  const rows = found.batch ?? PROBE_ROWS;
  const images = before.freeName('images');
  appendPreprocessing(before, images, preprocessing, { ...found, width }, 1, found.input.name);
  const scores = after.node('Cast', [found.output.name], { to: DATA_TYPE.float }, after.freeName('scores'));
  const onnx = withGraphChanges(model, {
    before: before.nodes,
    after: after.nodes,
    constants: [...before.initializers, ...after.initializers],
    input: encodeValueInfo(images, DATA_TYPE.uint8, [found.batch ?? BATCH_DIMENSION, height, width, 3]),
    outputs: [encodeValueInfo(scores, DATA_TYPE.float, null)],
  });
  return { onnx, rows };
}

/** Checks that pixels of this preprocessing fit the graph. @throws ImagemillError MODEL_SHAPE_MISMATCH */
export function checkPreprocessing(
  found: FoundClassifier,
  preprocessing: Preprocessing,
  where: string,
): void {
  const { height, width } = preprocessing.crop;
  if ((found.height ?? height) !== height || (found.width ?? width) !== width) {
    throw new ImagemillError(
      'MODEL_SHAPE_MISMATCH',
      `${where}: the graph takes images of ${found.width ?? 'any'}×${found.height ?? 'any'} pixels, got a crop of ${width}×${height}`,
    );
  }
  const { scale, mean, std } = preprocessing;
  const changesValues = scale !== 1 || mean.some((value) => value !== 0) || std.some((value) => value !== 1);
  if (found.type === 'uint8' && changesValues) {
    throw new ImagemillError(
      'MODEL_SHAPE_MISMATCH',
      `${where}: the graph takes uint8 pixels as they are, got a scale, mean or std that would make them fractions`,
    );
  }
}

function itemsPerBatch(
  found: FoundClassifier,
  options: CompileOptions,
  where: string,
): { readonly count: number; readonly isFixed: boolean } {
  if (found.batch === null) return { count: options.batchSize, isFixed: false };
  const perItem = ROWS_PER_ITEM[options.crops];
  if (found.batch % perItem !== 0) {
    throw new ImagemillError(
      'MODEL_NOT_A_CLASSIFIER',
      `${where}: ${perItem} crops per image need a batch that is a multiple of ${perItem}, got a graph with a fixed batch of ${found.batch}`,
    );
  }
  return { count: found.batch / perItem, isFixed: true };
}

/** (rows, size) float32, whatever trailing ones and precision the tensor has. */
function flatFloat(graph: GraphBuilder, tensor: string, size: number): string {
  const flat = graph.node('Reshape', [tensor, graph.ints('shape', [-1, size])]);
  return graph.node('Cast', [flat], { to: DATA_TYPE.float });
}

function takenNames(model: OnnxModel): Set<string> {
  const tensors = model.nodes.flatMap((node) => [...node.inputs, ...node.outputs]);
  return new Set([...tensors, ...model.inputs.map(({ name }) => name), ...model.initializers.keys()]);
}

function producerOf(model: OnnxModel, found: FoundClassifier): string {
  const producer = model.nodes.find((node) => node.outputs.includes(found.output.name));
  return producer === undefined ? 'an output that no node produces' : `them from ${producer.operator}`;
}
