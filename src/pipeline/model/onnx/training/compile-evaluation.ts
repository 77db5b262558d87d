import { parametersOf, placeLayers } from '../../architecture.ts';
import { appendLayer } from '../compile-network.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder } from '../graph-builder.ts';
import type { TrainingContext } from './differentiated.ts';
import { encode, imageInputs, nameStatistics } from './graph-ends.ts';
import { appendTrainingLayer } from './layers.ts';
import { appendLoss } from './loss.ts';
import { appendPixels } from './pixels.ts';
import { STATISTICS, TENSOR, type OnnxTrainingNetwork } from './training-network.ts';

/** Loss and correct items of a micro-batch without training; rows past the last item have the weight 0. */
export function compileEvaluation(network: OnnxTrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const { architecture, microBatchSize: rows } = network;
  const context: TrainingContext = { graph, rows, form: network.form, maskOf: () => '' };
  const shape = { rows, ...architecture.input };
  const logits = placeLayers(architecture).reduce(
    (tensor, placed) =>
      placed.layer.kind === 'conv'
        ? appendTrainingLayer(context, placed, tensor).output
        : appendLayer(graph, placed, tensor, (path) => ({ weight: `${path}.weight`, bias: `${path}.bias` })),
    appendPixels(graph, TENSOR.images, null, network.preprocessing, shape),
  );
  const loss = appendLoss(graph, {
    logits,
    labels: TENSOR.labels,
    classes: architecture.classes,
    labelSmoothing: 0,
    rowWeights: TENSOR.rowWeights,
  });
  nameStatistics(graph, loss);
  const inputs = [
    ...imageInputs({ ...network, colour: false }),
    encodeValueInfo(TENSOR.rowWeights, DATA_TYPE.float, [rows]),
    ...parametersOf(architecture).map(({ name, shape }) => encodeValueInfo(name, DATA_TYPE.float, shape)),
  ];
  const outputs = STATISTICS.map((name) => encodeValueInfo(name, DATA_TYPE.float, [1]));
  return encode('evaluation', graph, inputs, outputs, network);
}
