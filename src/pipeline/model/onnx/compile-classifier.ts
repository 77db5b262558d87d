/** Architecture + weights + preprocessing → a graph from uint8 pixels to the top k classes. */
import type { Preprocessing } from '../../../contract/model-card.ts';
import type { ClassifierGraph } from '../../engine/engine.ts';
import { describeShape, parametersOf, placeLayers, product, type Architecture } from '../architecture.ts';
import type { StateDict } from '../weights/state-dict.ts';
import {
  appendPreprocessing,
  appendTopK,
  BATCH_DIMENSION,
  CROPS_PER_ITEM,
  type CompileOptions,
} from './classifier-ends.ts';
import { appendLayer } from './compile-network.ts';
import { DATA_TYPE, encodeOpset, encodeValueInfo, GraphBuilder, type Dimension } from './graph-builder.ts';
import { ProtoWriter } from './protobuf.ts';

const IR_VERSION = 8;
const OPSET = 17;

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
  const architecture = { ...input.architecture, input: { channels: 3 as const, height, width } };
  const graph = new GraphBuilder();
  addWeights(graph, architecture, weights);

  const pixels = appendPreprocessing(
    graph,
    'images',
    preprocessing,
    { layout: 'nchw', type: 'float', width },
    options.crops,
  );
  const placed = placeLayers(architecture);
  const lastLinear = placed.findLastIndex(({ layer }) => layer.kind === 'linear');
  const embedding = { name: '', size: 0 };
  const logits = placed.reduce((tensor, layer, index) => {
    if (index === lastLinear) Object.assign(embedding, { name: tensor, size: product(layer.input) });
    return appendLayer(graph, layer, tensor, (path) => ({ weight: `${path}.weight`, bias: `${path}.bias` }));
  }, pixels);

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
    onnx: encodeModel(architecture.name, graph, images, outputs),
    batchSize: options.batchSize,
    fixedBatch: isStatic,
    height,
    width,
    cropsPerItem,
    topK: Math.min(options.topK, architecture.classes),
    embeddingSize: options.embeddings ? embedding.size : null,
  };
}

function addWeights(graph: GraphBuilder, architecture: Architecture, weights: StateDict): void {
  for (const { name, shape } of parametersOf(architecture)) {
    const tensor = weights.get(name);
    if (tensor === undefined || tensor.data.length !== product(shape)) {
      const got = tensor === undefined ? 'none' : describeShape(tensor.shape);
      throw new RangeError(`${name}: expected a tensor ${describeShape(shape)}, got ${got}`);
    }
    graph.floats(name, shape, tensor.data, name);
  }
}

function encodeModel(
  name: string,
  graph: GraphBuilder,
  input: ProtoWriter,
  outputs: ProtoWriter[],
): Uint8Array {
  const writer = new ProtoWriter();
  for (const node of graph.nodes) writer.message(1, node);
  writer.string(2, name);
  for (const tensor of graph.initializers) writer.message(5, tensor);
  writer.message(11, input);
  for (const output of outputs) writer.message(12, output);
  return new ProtoWriter()
    .int(1, IR_VERSION)
    .string(2, 'imagemill')
    .message(7, writer)
    .message(8, encodeOpset(OPSET))
    .finish();
}
