/**
 * Layers with their backward pass. A layer is appended in two calls: forward while the graph grows towards the loss,
 * backward on the way back. Names in, names out: the graph itself is the tape.
 */
import type { PlacedLayer } from '../../architecture.ts';
import type { GraphBuilder } from '../graph-builder.ts';
import type { ConvolutionForm } from './convolution-form.ts';

export interface TrainingContext {
  readonly graph: GraphBuilder;
  /** Items in the micro-batch: training graphs have fixed shapes. */
  readonly rows: number;
  readonly form: ConvolutionForm;
  /** Name of the mask of a dropout layer: (rows, …input) float32, 0 or 1/(1−p). */
  readonly maskOf: (placed: PlacedLayer) => string;
}

/** Gradients that a layer's backward pass gives. */
export interface LayerGradients {
  /** Of the layer's input, (rows, …input); null where it was not asked for. */
  readonly input: string | null;
  /** Of its parameters, by their names in the architecture. */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface Differentiated {
  /** (rows, …output) float32. */
  readonly output: string;
  /**
   * Appends the backward pass.
   * @param gradient of the output
   * @param needsInput whether any layer below wants the gradient of the input
   * @param needsParameters false where the layer's own parameters are frozen
   */
  backward(gradient: string, needsInput: boolean, needsParameters: boolean): LayerGradients;
}

export const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();
