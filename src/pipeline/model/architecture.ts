/**
 * Layer specs as pure data. One spec serves inference graphs, training graphs, initialisation and weight files.
 * Shapes are (C, H, W) before `flatten` and (F) after it; the batch dimension is left out.
 */
import type { Preprocessing } from '../../contract/model-card.ts';

/** How a weight tensor starts. `he-normal` and `uniform-fan-in` depend on fan-in = inputs per output value. */
type WeightInit =
  /** N(0, std²). */
  | { readonly kind: 'normal'; readonly std: number }
  /** N(0, 2 / fan-in): He et al. 2015, arXiv 1502.01852. */
  | { readonly kind: 'he-normal' }
  /** U(−1/√fan-in, 1/√fan-in): the default of torch's Conv2d and Linear. */
  | { readonly kind: 'uniform-fan-in' };

type BiasInit = { readonly kind: 'constant'; readonly value: number } | { readonly kind: 'uniform-fan-in' };

export interface Init {
  readonly weight: WeightInit;
  readonly bias: BiasInit;
}

export interface ConvLayer {
  readonly kind: 'conv';
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
  /** Input and output channels are cut into this many independent parts (the two GPUs' towers of 2012). */
  readonly groups: number;
  readonly init: Init;
}

/** Local response normalisation across channels: x / (k + alpha/size · Σ x²)^beta over `size` neighbours. */
export interface LrnLayer {
  readonly kind: 'lrn';
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly k: number;
}

export interface LinearLayer {
  readonly kind: 'linear';
  readonly out: number;
  readonly init: Init;
}

export type Layer =
  | ConvLayer
  | { readonly kind: 'relu' }
  | { readonly kind: 'tanh' }
  | LrnLayer
  | { readonly kind: 'maxPool'; readonly kernel: number; readonly stride: number }
  /** Windows as in torch: output i averages rows ⌊i·H/out⌋ up to ⌈(i+1)·H/out⌉. */
  | { readonly kind: 'adaptiveAvgPool'; readonly out: number }
  | { readonly kind: 'flatten' }
  | { readonly kind: 'dropout'; readonly probability: number }
  | LinearLayer;

/** A named run of layers; parameters are named `<block>.<index in block>.weight`, as torch's Sequential does. */
interface Block {
  readonly name: string;
  readonly layers: readonly Layer[];
}

export interface Architecture {
  readonly name: string;
  readonly classes: number;
  readonly input: { readonly channels: 3; readonly height: number; readonly width: number };
  readonly blocks: readonly Block[];
  /** What the model expects of its pixels, unless its file says otherwise. */
  readonly preprocessing: Preprocessing;
}

export type Shape = readonly number[];

/** A layer in its place. */
export interface PlacedLayer {
  readonly layer: Layer;
  /** `<block>.<index>`: the prefix of its parameters. */
  readonly path: string;
  readonly input: Shape;
  readonly output: Shape;
}

/** One parameter tensor, in torch's layout: conv (out, in/groups, k, k), linear (out, in), bias (out). */
export interface Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly fanIn: number;
  readonly init:
    | { readonly role: 'weight'; readonly fill: WeightInit }
    | { readonly role: 'bias'; readonly fill: BiasInit };
}

/**
 * Output shape of one layer.
 * @throws RangeError where the layer cannot take this input
 */
export function outputShape(layer: Layer, input: Shape): Shape {
  switch (layer.kind) {
    case 'conv': {
      const [channels, height, width] = spatial(layer, input);
      if (channels % layer.groups !== 0 || layer.out % layer.groups !== 0) {
        throw new RangeError(
          `conv: ${channels} → ${layer.out} channels do not divide into ${layer.groups} groups`,
        );
      }
      const side = (size: number): number =>
        windows(layer.kind, size + 2 * layer.pad, layer.kernel, layer.stride);
      return [layer.out, side(height), side(width)];
    }
    case 'maxPool': {
      const [channels, height, width] = spatial(layer, input);
      const side = (size: number): number => windows(layer.kind, size, layer.kernel, layer.stride);
      return [channels, side(height), side(width)];
    }
    case 'adaptiveAvgPool': {
      const [channels] = spatial(layer, input);
      return [channels, layer.out, layer.out];
    }
    case 'lrn':
      spatial(layer, input);
      return input;
    case 'flatten':
      return [product(input)];
    case 'linear':
      if (input.length !== 1)
        throw new RangeError(`linear: expected a flat input, got ${describeShape(input)}`);
      return [layer.out];
    case 'relu':
    case 'tanh':
    case 'dropout':
      return input;
    default:
      return unreachable(layer);
  }
}

/** Every layer with its path, input and output shape, from the input to the logits. */
export function placeLayers(architecture: Architecture): PlacedLayer[] {
  const placed: PlacedLayer[] = [];
  const { channels, height, width } = architecture.input;
  let shape: Shape = [channels, height, width];
  for (const block of architecture.blocks) {
    block.layers.forEach((layer, index) => {
      const output = outputShape(layer, shape);
      placed.push({ layer, path: `${block.name}.${index}`, input: shape, output });
      shape = output;
    });
  }
  return placed;
}

/** All parameters in order of the layers, weight before bias: the order of torch's `state_dict()`. */
export function parametersOf(architecture: Architecture): Parameter[] {
  return placeLayers(architecture).flatMap((placed) => {
    const { layer, path, input } = placed;
    if (layer.kind !== 'conv' && layer.kind !== 'linear') return [];
    const shape =
      layer.kind === 'conv'
        ? [layer.out, (input[0] ?? 0) / layer.groups, layer.kernel, layer.kernel]
        : [layer.out, input[0] ?? 0];
    const fanIn = product(shape.slice(1));
    return [
      { name: `${path}.weight`, shape, fanIn, init: { role: 'weight', fill: layer.init.weight } },
      { name: `${path}.bias`, shape: [layer.out], fanIn, init: { role: 'bias', fill: layer.init.bias } },
    ] satisfies Parameter[];
  });
}

export function parameterCount(architecture: Architecture): number {
  return parametersOf(architecture).reduce((sum, parameter) => sum + product(parameter.shape), 0);
}

/** Length of the penultimate activations: the input of the last linear layer. */
export function embeddingSize(architecture: Architecture): number {
  const last = placeLayers(architecture).findLast(({ layer }) => layer.kind === 'linear');
  if (last === undefined) throw new RangeError(`${architecture.name}: no linear layer`);
  return product(last.input);
}

/** For the end of a switch over every kind: the compiler sees what was forgotten, and data of a newer version is named. */
export function unreachable(value: never): never {
  throw new RangeError(`unknown kind: ${JSON.stringify(value)}`);
}

export function product(shape: Shape): number {
  return shape.reduce((result, size) => result * size, 1);
}

/** `(64, 3, 11, 11)`. */
export function describeShape(shape: Shape): string {
  return `(${shape.join(', ')})`;
}

function spatial(layer: Layer, input: Shape): [number, number, number] {
  const [channels, height, width] = input;
  if (input.length !== 3 || channels === undefined || height === undefined || width === undefined) {
    throw new RangeError(`${layer.kind}: expected (C, H, W), got ${describeShape(input)}`);
  }
  return [channels, height, width];
}

function windows(kind: string, size: number, kernel: number, stride: number): number {
  const count = Math.floor((size - kernel) / stride) + 1;
  if (count < 1) throw new RangeError(`${kind}: a window of ${kernel} does not fit into ${size} pixels`);
  return count;
}
