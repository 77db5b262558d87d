/** Architecture + weights + preprocessing → a graph from uint8 pixels to the top k classes. */
import type { Preprocessing } from '../../../contract/model-card.ts';
import type { ClassifierGraph } from '../../engine/engine.ts';
import type { Architecture } from '../architecture.ts';
import { atCropSize } from '../export-input.ts';
import type { StateDict } from '../weights/state-dict.ts';
import {
  appendPreprocessing,
  appendTopK,
  BATCH_DIMENSION,
  CROPS_PER_ITEM,
  type CompileOptions,
} from './classifier-ends.ts';
import { encodeModel, OPSET } from './encode-model.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder, type Dimension } from './graph-builder.ts';
import { appendInferenceNetwork } from './inference-network.ts';

export interface CompileInput {
  readonly architecture: Architecture;
  /** Exactly the architecture's parameters. */
  readonly weights: StateDict;
  readonly preprocessing: Preprocessing;
  readonly options: CompileOptions;
  /** A number of items instead of the symbolic batch dimension: see docs/adr/0006. */
  readonly staticBatch?: boolean;
}

/**
 * Compiles a classifier. The weights are copied once, into the result.
 * @throws RangeError where the crop does not fit the architecture or a tensor is missing
 */
export function compileClassifier(input: CompileInput): ClassifierGraph {
  const { weights, preprocessing, options } = input;
  const { height, width } = preprocessing.crop;
  const architecture = atCropSize(input.architecture, preprocessing);
  const graph = new GraphBuilder();
  const pixels = appendPreprocessing(
    graph,
    'images',
    preprocessing,
    { layout: 'nchw', type: 'float', width },
    options.crops,
  );
  const { logits, embedding } = appendInferenceNetwork(graph, architecture, weights, pixels);

  const cropsPerItem = CROPS_PER_ITEM[options.crops];
  const isStatic = input.staticBatch === true;
  const batch: Dimension = isStatic ? options.batchSize : BATCH_DIMENSION;
  const rows: Dimension = isStatic
    ? options.batchSize * cropsPerItem
    : cropsPerItem === 1
      ? BATCH_DIMENSION
      : 'rows';
  const network = { scores: logits, classes: architecture.classes, kind: 'logits', embedding } as const;
  const outputs = appendTopK(graph, network, options, batch, OPSET);
  const images = encodeValueInfo('images', DATA_TYPE.uint8, [rows, height, width, 3]);
  return {
    onnx: encodeModel({ name: architecture.name, graph, inputs: [images], outputs }),
    batchSize: options.batchSize,
    fixedBatch: isStatic,
    height,
    width,
    cropsPerItem,
    topK: Math.min(options.topK, architecture.classes),
    embeddingSize: options.embeddings ? embedding.size : null,
  };
}
