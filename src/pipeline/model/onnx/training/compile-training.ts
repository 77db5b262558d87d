/** Layer spec + recipe → the graphs that train it. Weights are inputs and outputs; the graphs hold none. */
import { parametersOf, placeLayers } from '../../architecture.ts';
import { accumulates, trainedParameters } from '../../training-network.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder } from '../graph-builder.ts';
import type { ProtoWriter } from '../protobuf.ts';
import type { Differentiated, LayerGradients, TrainingContext } from './differentiated.ts';
import { colourInputs, encode, imageInputs, nameStatistics } from './graph-ends.ts';
import { appendTrainingLayer } from './layers.ts';
import { appendLoss, type Loss } from './loss.ts';
import { appendSgd } from './optimizer.ts';
import { appendPixels } from './pixels.ts';
import { masksOf, STATISTICS, TENSOR, type OnnxTrainingNetwork } from './training-network.ts';

/**
 * One micro-batch: forward, backward, and the update of weights and velocities; or, where several micro-batches make
 * a batch, the sums of their gradients. Every `next:` output may share its buffer with its input.
 * @throws RangeError where every parameter is frozen
 */
export function compileStep(network: OnnxTrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const inputs = imageInputs(network);
  const outputs = STATISTICS.map((name) => encodeValueInfo(name, DATA_TYPE.float, [1]));
  for (const mask of masksOf(network.architecture)) {
    inputs.push(encodeValueInfo(mask.name, DATA_TYPE.float, [network.microBatchSize, ...mask.shape]));
  }
  for (const { name, shape } of parametersOf(network.architecture)) {
    inputs.push(encodeValueInfo(name, DATA_TYPE.float, shape));
  }
  const { gradients, loss, last } = appendForwardAndBackward(graph, network);
  nameStatistics(graph, loss);
  if (accumulates(network)) {
    for (const { name, shape } of trainedParameters(network)) {
      const sum = TENSOR.sum(name);
      graph.node('Add', [sum, gradients.get(name) ?? ''], {}, TENSOR.next(sum));
      inputs.push(encodeValueInfo(sum, DATA_TYPE.float, shape));
      outputs.push(encodeValueInfo(TENSOR.next(sum), DATA_TYPE.float, shape));
    }
  } else {
    const rate = waitFor(graph, TENSOR.learningRate, last);
    appendUpdates(graph, network, rate, (name) => gradients.get(name) ?? '', { inputs, outputs });
  }
  return encode('step', graph, inputs, outputs, network);
}

/** Weights, velocities and summed gradients → the next weights and velocities. */
export function compileApply(network: OnnxTrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const inputs: ProtoWriter[] = [];
  const outputs: ProtoWriter[] = [];
  for (const { name, shape } of trainedParameters(network)) {
    inputs.push(encodeValueInfo(name, DATA_TYPE.float, shape));
    inputs.push(encodeValueInfo(TENSOR.sum(name), DATA_TYPE.float, shape));
  }
  appendUpdates(graph, network, TENSOR.learningRate, TENSOR.sum, { inputs, outputs });
  return encode('apply', graph, inputs, outputs, network);
}

interface Backward {
  readonly gradients: ReadonlyMap<string, string>;
  readonly loss: Loss;
  /** A gradient at the lowest trained layer, (out): where it is known, no weight is read any more. */
  readonly last: string;
}

function appendForwardAndBackward(graph: GraphBuilder, network: OnnxTrainingNetwork): Backward {
  const { architecture, microBatchSize: rows, form } = network;
  const context: TrainingContext = { graph, rows, form, maskOf: ({ path }) => TENSOR.mask(path) };
  const colour = colourInputs(network);
  const placed = placeLayers(architecture);
  const passes: Differentiated[] = [];
  const shape = { rows, ...architecture.input };
  let tensor = appendPixels(graph, TENSOR.images, colour, network.preprocessing, shape);
  for (const layer of placed) {
    const pass = appendTrainingLayer(context, layer, tensor);
    passes.push(pass);
    tensor = pass.output;
  }
  const loss = appendLoss(graph, {
    logits: tensor,
    labels: TENSOR.labels,
    classes: architecture.classes,
    labelSmoothing: network.labelSmoothing,
  });
  const isTrained = placed.map(({ path }) =>
    ['weight', 'bias'].some((role) => network.parameters.get(`${path}.${role}`)?.trained === true),
  );
  const lowest = isTrained.indexOf(true);
  if (lowest === -1) throw new RangeError(`${architecture.name}: expected a parameter that is not frozen`);
  const gradients = new Map<string, string>();
  let gradient: string | null = loss.gradient(1 / network.batchSize);
  for (let index = passes.length - 1; index >= lowest && gradient !== null; index--) {
    const pass: Differentiated | undefined = passes[index];
    const back: LayerGradients | undefined = pass?.backward(
      gradient,
      index > lowest,
      isTrained[index] === true,
    );
    for (const [name, value] of back?.parameters ?? []) gradients.set(name, value);
    gradient = back?.input ?? null;
  }
  return { gradients, loss, last: gradients.get(`${placed[lowest]?.path}.bias`) ?? '' };
}

/**
 * Outputs may share buffers with inputs, which ONNX Runtime does not know: an update must not run before the last
 * node that reads the old weights. The gradient at the lowest layer depends on all of these, so the learning rate is
 * made to depend on that gradient, times zero.
 */
function waitFor(graph: GraphBuilder, learningRate: string, gradient: string): string {
  const sum = graph.node('ReduceSum', [gradient, graph.ints('axes', [0])], { keepdims: 1 });
  const nothing = graph.node('Mul', [sum, graph.floats('zero', [], Float32Array.of(0))]);
  return graph.node('Add', [learningRate, nothing]);
}

function appendUpdates(
  graph: GraphBuilder,
  network: OnnxTrainingNetwork,
  learningRate: string,
  gradientOf: (name: string) => string,
  { inputs, outputs }: { inputs: ProtoWriter[]; outputs: ProtoWriter[] },
): void {
  inputs.push(encodeValueInfo(TENSOR.learningRate, DATA_TYPE.float, [1]));
  for (const { name, shape, training } of trainedParameters(network)) {
    const velocity = TENSOR.velocity(name);
    const names = { weight: TENSOR.next(name), velocity: TENSOR.next(velocity) };
    const parameter = { ...training, weight: name, velocity, gradient: gradientOf(name) };
    appendSgd(graph, parameter, learningRate, network.sgd, names);
    inputs.push(encodeValueInfo(velocity, DATA_TYPE.float, shape));
    for (const output of [names.weight, names.velocity]) {
      outputs.push(encodeValueInfo(output, DATA_TYPE.float, shape));
    }
  }
}
