/** Layer spec + recipe → the graphs that train it. Weights are inputs and outputs; the graphs hold none. */
import type { Preprocessing } from '../../../../contract/model-card.ts';
import {
  parametersOf,
  placeLayers,
  product,
  type Architecture,
  type Shape,
} from '../../architecture.ts';
import { appendLayer } from '../compile-network.ts';
import { encodeModel } from '../encode-model.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder } from '../graph-builder.ts';
import type { ProtoWriter } from '../protobuf.ts';
import type { ConvolutionForm } from './convolution-form.ts';
import type { Differentiated, TrainingContext } from './differentiated.ts';
import { appendTrainingLayer } from './layers.ts';
import { appendLoss, type Loss } from './loss.ts';
import { appendSgd, type SgdOptions } from './optimizer.ts';
import { appendColour, appendNormalisation, type ColourInputs } from './pixels.ts';

/** How one parameter is trained. */
export interface ParameterTraining {
  readonly learningRateFactor: number;
  readonly weightDecay: number;
  /** False where the parameter is frozen. */
  readonly trained: boolean;
}

export interface TrainingNetwork {
  readonly architecture: Architecture;
  readonly preprocessing: Preprocessing;
  /** By parameter name; a parameter that is missing here is frozen. */
  readonly parameters: ReadonlyMap<string, ParameterTraining>;
  readonly sgd: SgdOptions;
  readonly labelSmoothing: number;
  /** Whether the recipe changes colours, which needs inputs of its own. */
  readonly colour: boolean;
  readonly batchSize: number;
  /** Items that go through the network at a time; divides `batchSize`. */
  readonly microBatchSize: number;
  readonly form: ConvolutionForm;
}

/** Names of inputs and outputs. Weights have the architecture's names. */
export const TENSOR = {
  images: 'images',
  labels: 'labels',
  rowWeights: 'row_weights',
  learningRate: 'learning_rate',
  matrices: 'colour_matrices',
  greyShifts: 'grey_shifts',
  shifts: 'colour_shifts',
  lossSum: 'loss_sum',
  top1: 'top1',
  top5: 'top5',
  mask: (path: string) => `mask:${path}`,
  velocity: (name: string) => `velocity:${name}`,
  sum: (name: string) => `sum:${name}`,
  next: (tensor: string) => `next:${tensor}`,
} as const;

export const STATISTICS = [TENSOR.lossSum, TENSOR.top1, TENSOR.top5] as const;

/** A dropout layer's mask, (rows, size) float32: 0, or 1/(1 − probability). */
export interface MaskInput {
  readonly name: string;
  /** Values per item. */
  readonly size: number;
  readonly probability: number;
}

/** Masks that a step needs, in the order of the layers. */
export function masksOf(architecture: Architecture): MaskInput[] {
  return placeLayers(architecture).flatMap(({ layer, path, input }) =>
    layer.kind === 'dropout' && layer.probability > 0
      ? [{ name: TENSOR.mask(path), size: product(input), probability: layer.probability }]
      : [],
  );
}

/** Whether gradients of several micro-batches add up to a batch. */
export function accumulates({ batchSize, microBatchSize }: TrainingNetwork): boolean {
  return microBatchSize < batchSize;
}

/**
 * One micro-batch: forward, backward, and the update of weights and velocities; or, where several micro-batches make
 * a batch, the sums of their gradients. Every `next:` output may share its buffer with its input.
 */
export function compileStep(network: TrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const inputs = imageInputs(network);
  const outputs = STATISTICS.map((name) => encodeValueInfo(name, DATA_TYPE.float, [1]));
  for (const mask of masksOf(network.architecture)) {
    inputs.push(encodeValueInfo(mask.name, DATA_TYPE.float, maskShape(network, mask)));
  }
  for (const { name, shape } of parametersOf(network.architecture)) {
    inputs.push(encodeValueInfo(name, DATA_TYPE.float, shape));
  }
  const { gradients, loss, lowest } = appendForwardAndBackward(graph, network);
  nameStatistics(graph, loss);
  if (accumulates(network)) {
    for (const { name, shape } of trainedParameters(network)) {
      const sum = TENSOR.sum(name);
      graph.node('Add', [sum, gradients.get(name) ?? ''], {}, TENSOR.next(sum));
      inputs.push(encodeValueInfo(sum, DATA_TYPE.float, shape));
      outputs.push(encodeValueInfo(TENSOR.next(sum), DATA_TYPE.float, shape));
    }
  } else {
    const rate = waitFor(graph, TENSOR.learningRate, gradients.get(lowest) ?? '');
    appendUpdates(graph, network, rate, (name) => gradients.get(name) ?? '', { inputs, outputs });
  }
  return encode('step', graph, inputs, outputs, network);
}

/** Weights, velocities and summed gradients → the next weights and velocities. */
export function compileApply(network: TrainingNetwork): Uint8Array {
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

/** Loss and correct items of a micro-batch without training; rows past the last item have the weight 0. */
export function compileEvaluation(network: TrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const { architecture, microBatchSize: rows } = network;
  const context: TrainingContext = { graph, rows, form: network.form, maskOf: () => '' };
  const pixels = appendColour(graph, TENSOR.images, null, { rows, ...architecture.input });
  const logits = placeLayers(architecture).reduce(
    (tensor, placed) =>
      placed.layer.kind === 'conv'
        ? appendTrainingLayer(context, placed, tensor).output
        : appendLayer(graph, placed, tensor, (path) => ({ weight: `${path}.weight`, bias: `${path}.bias` })),
    appendNormalisation(graph, pixels, network.preprocessing),
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

/** The minibatch as the network sees it before normalisation, rounded: (rows, H, W, 3) uint8. */
export function compilePreview(network: TrainingNetwork): Uint8Array {
  const graph = new GraphBuilder();
  const { microBatchSize: rows, architecture } = network;
  const { height, width } = architecture.input;
  const pixels = appendColour(graph, TENSOR.images, colourInputs(network), { rows, height, width });
  const limits = [0, 255].map((value) => graph.floats('limit', [], Float32Array.of(value)));
  const rounded = graph.node('Round', [graph.node('Clip', [pixels, ...limits])]);
  const bytes = graph.node('Cast', [rounded], { to: DATA_TYPE.uint8 });
  graph.node('Transpose', [bytes], { perm: [0, 2, 3, 1] }, 'preview');
  const shape = [rows, height, width, 3];
  const inputs = [
    encodeValueInfo(TENSOR.images, DATA_TYPE.uint8, shape),
    ...(network.colour ? colourValues(rows) : []),
  ];
  const output = encodeValueInfo('preview', DATA_TYPE.uint8, shape);
  return encode('preview', graph, inputs, [output], network);
}

interface Backward {
  readonly gradients: ReadonlyMap<string, string>;
  readonly loss: Loss;
  /** The parameter whose gradient is computed last: after it no weight is read any more. */
  readonly lowest: string;
}

function appendForwardAndBackward(graph: GraphBuilder, network: TrainingNetwork): Backward {
  const { architecture, microBatchSize: rows, form } = network;
  const context: TrainingContext = { graph, rows, form, maskOf: ({ path }) => TENSOR.mask(path) };
  const colour = colourInputs(network);
  const pixels = appendColour(graph, TENSOR.images, colour, { rows, ...architecture.input });
  const placed = placeLayers(architecture);
  const passes: Differentiated[] = [];
  let tensor = appendNormalisation(graph, pixels, network.preprocessing);
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
  const isTrained = placed.map(({ path }) => network.parameters.get(`${path}.weight`)?.trained === true);
  const lowestLayer = isTrained.indexOf(true);
  const gradients = new Map<string, string>();
  let gradient: string | null = loss.gradient(1 / network.batchSize);
  for (let index = passes.length - 1; index >= lowestLayer && gradient !== null; index--) {
    const back: ReturnType<Differentiated['backward']> | undefined = passes[index]?.backward(
      gradient,
      index > lowestLayer,
      isTrained[index] === true,
    );
    for (const [name, value] of back?.parameters ?? []) gradients.set(name, value);
    gradient = back?.input ?? null;
  }
  return { gradients, loss, lowest: `${placed[lowestLayer]?.path}.bias` };
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
  network: TrainingNetwork,
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

export interface TrainedTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly training: ParameterTraining;
}

/** The parameters that are not frozen, in the order of the layers. */
export function trainedParameters({ architecture, parameters }: TrainingNetwork): TrainedTensor[] {
  return parametersOf(architecture).flatMap(({ name, shape }) => {
    const training = parameters.get(name);
    return training?.trained === true ? [{ name, shape, training }] : [];
  });
}

function imageInputs({ architecture, microBatchSize: rows, colour }: TrainingNetwork): ProtoWriter[] {
  const { height, width } = architecture.input;
  const inputs = [
    encodeValueInfo(TENSOR.images, DATA_TYPE.uint8, [rows, height, width, 3]),
    encodeValueInfo(TENSOR.labels, DATA_TYPE.int64, [rows]),
  ];
  return colour ? [...inputs, ...colourValues(rows)] : inputs;
}

function colourValues(rows: number): ProtoWriter[] {
  return [
    encodeValueInfo(TENSOR.matrices, DATA_TYPE.float, [rows, 3, 3]),
    encodeValueInfo(TENSOR.greyShifts, DATA_TYPE.float, [rows]),
    encodeValueInfo(TENSOR.shifts, DATA_TYPE.float, [rows, 3]),
  ];
}

function colourInputs({ colour }: TrainingNetwork): ColourInputs | null {
  if (!colour) return null;
  return { matrices: TENSOR.matrices, greyShifts: TENSOR.greyShifts, shifts: TENSOR.shifts };
}

function maskShape({ microBatchSize }: TrainingNetwork, { size }: MaskInput): number[] {
  return [microBatchSize, size];
}

function nameStatistics(graph: GraphBuilder, loss: Loss): void {
  graph.node('Identity', [loss.lossSum], {}, TENSOR.lossSum);
  graph.node('Identity', [loss.top1], {}, TENSOR.top1);
  graph.node('Identity', [loss.top5], {}, TENSOR.top5);
}

function encode(
  name: string,
  graph: GraphBuilder,
  inputs: readonly ProtoWriter[],
  outputs: readonly ProtoWriter[],
  { architecture, form }: TrainingNetwork,
): Uint8Array {
  const blocked = form.kind === 'blocked';
  return encodeModel({ name: `${architecture.name} ${name}`, graph, inputs, outputs, blocked });
}
