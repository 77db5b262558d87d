/** One convolution without groups, its gradients, and what the forms of writing it share. */
import type { GraphBuilder } from '../graph-builder.ts';

/** Sizes of a convolution without groups, over `rows` images. */
export interface PlainConv {
  readonly rows: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly out: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
}

/** Names of (out, channels, kernel, kernel) and (out) float32. */
export interface PlainParameters {
  readonly weight: string;
  readonly bias: string;
}

export interface PlainDifferentiated {
  /** (rows, out, outHeight, outWidth). */
  readonly output: string;
  /** Appends the gradient of the input, (rows, channels, height, width). */
  inputGradient(gradient: string): string;
  /** Appends the gradient of the weights, (out, channels, kernel, kernel). */
  weightGradient(gradient: string): string;
}

/** Cuts a tensor into equal parts along an axis. */
export function split(graph: GraphBuilder, tensor: string, parts: number, axis: number): string[] {
  if (parts === 1) return [tensor];
  const outputs = Array.from({ length: parts }, () => graph.uniqueName('Split'));
  graph.nodeWithOutputs('Split', [tensor], outputs, { axis });
  return outputs;
}

export function concat(graph: GraphBuilder, tensors: readonly string[], axis: number): string {
  const [only = ''] = tensors;
  return tensors.length === 1 ? only : graph.node('Concat', tensors, { axis });
}
