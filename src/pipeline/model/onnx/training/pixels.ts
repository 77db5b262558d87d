/** From the bytes of a slab to the network's input: colour augmentation, then the model's normalisation. */
import type { Preprocessing } from '../../../../contract/model-card.ts';
import { GREY_WEIGHTS } from '../../grey-weights.ts';
import { DATA_TYPE, type GraphBuilder } from '../graph-builder.ts';

/** Names of the inputs of colour augmentation, one row per item: see `ColourTransform`. */
export interface ColourInputs {
  /** (rows, 3, 3). */
  readonly matrices: string;
  /** (rows). */
  readonly greyShifts: string;
  /** (rows, 3). */
  readonly shifts: string;
}

export interface PixelShape {
  readonly rows: number;
  readonly height: number;
  readonly width: number;
}

/**
 * (rows, H, W, 3) uint8 → (rows, 3, H, W) float32, 0..255: out = M·x + b · mean(grey(x)) + s for every item.
 */
export function appendColour(
  graph: GraphBuilder,
  images: string,
  colour: ColourInputs | null,
  { rows, height, width }: PixelShape,
): string {
  const planes = graph.node('Transpose', [images], { perm: [0, 3, 1, 2] });
  const pixels = graph.node('Cast', [planes], { to: DATA_TYPE.float });
  if (colour === null) return pixels;
  const flat = graph.node('Reshape', [pixels, graph.ints('shape', [rows, 3, height * width])]);
  const means = graph.node('ReduceMean', [flat], { axes: [2], keepdims: 1 });
  const grey = graph.floats('grey', [1, 3], Float32Array.from(GREY_WEIGHTS));
  const column = graph.ints('shape', [rows, 1, 1]);
  const greyPart = graph.node('Mul', [
    graph.node('MatMul', [grey, means]),
    graph.node('Reshape', [colour.greyShifts, column]),
  ]);
  const shift = graph.node('Reshape', [colour.shifts, graph.ints('shape', [rows, 3, 1])]);
  const turned = graph.node('MatMul', [colour.matrices, flat]);
  const shifted = graph.node('Add', [turned, graph.node('Add', [greyPart, shift])]);
  return graph.node('Reshape', [shifted, graph.ints('shape', [rows, 3, height, width])]);
}

/**
 * (rows, H, W, 3) uint8 → (rows, 3, H, W) float32: colour augmentation, then (pixel × scale − mean) / std per channel.
 */
export function appendPixels(
  graph: GraphBuilder,
  images: string,
  colour: ColourInputs | null,
  preprocessing: Preprocessing,
  shape: PixelShape,
): string {
  const { scale, mean, std } = preprocessing;
  const factor = std.map((deviation) => scale / deviation);
  const offset = mean.map((value, channel) => -value / (std[channel] ?? 1));
  if (colour !== null) {
    const planes = appendColour(graph, images, colour, shape);
    return scaleAndShift(graph, planes, [3, 1, 1], factor, offset);
  }
  // A row's constants side by side: broadcasting three numbers over the innermost axis is ten times slower.
  const { rows, height, width } = shape;
  const repeat = (values: readonly number[]) =>
    Array.from({ length: width * 3 }, (_, index) => values[index % 3] ?? 0);
  const pixels = graph.node('Cast', [images], { to: DATA_TYPE.float });
  const lines = graph.node('Reshape', [pixels, graph.ints('shape', [rows, height, width * 3])]);
  const normal = scaleAndShift(graph, lines, [width * 3], repeat(factor), repeat(offset));
  const again = graph.node('Reshape', [normal, graph.ints('shape', [rows, height, width, 3])]);
  return graph.node('Transpose', [again], { perm: [0, 3, 1, 2] });
}

function scaleAndShift(
  graph: GraphBuilder,
  tensor: string,
  shape: readonly number[],
  factor: readonly number[],
  offset: readonly number[],
): string {
  const scaled = factor.every((value) => value === 1)
    ? tensor
    : graph.node('Mul', [tensor, graph.floats('factor', shape, Float32Array.from(factor))]);
  return graph.node('Add', [scaled, graph.floats('offset', shape, Float32Array.from(offset))]);
}
