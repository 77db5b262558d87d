/**
 * What the engine needs of TensorFlow beyond the operators of TensorFlow.js: gradients by their own, parameters that
 * are updated in place, bytes that stay bytes until they are on the device. Tensors are (N, H, W, C) float32.
 */
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type * as tfjs from '@tensorflow/tfjs-core';
import type { LrnLayer } from '../../model/architecture.ts';
import type { MaskPosition } from '../../model/dropout-mask.ts';
import type { SgdOptions } from '../../model/training-network.ts';

/** The library, whichever package it came from. */
export type Tfjs = typeof tfjs;

/** Square windows with the same padding on all sides. */
export interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
}

export type Shape4D = [number, number, number, number];

export interface SgdUpdate extends SgdOptions {
  readonly gradient: Tensor;
  readonly rate: number;
  readonly weightDecay: number;
}

/** A weight or bias that lives on the device, and its velocity where it is trained. */
export interface Parameter {
  /** The present value. The caller disposes of it before the next {@link update}. */
  read(): Tensor;
  /** null where the parameter is frozen. */
  readVelocity(): Tensor | null;
  /** v ← m·v + (g + d·w); w ← w − r·v, or r·(g + d·w + m·v) for Nesterov. */
  update(update: SgdUpdate): void;
  dispose(): void;
}

/** (N, H, W, 3) uint8 on the way to the device. */
export interface StagedPixels {
  /**
   * → float32 on the device, 0..255. Frees what was staged.
   * @param mirrored (N) 1 for images to be mirrored left to right; null for none
   */
  take(mirrored: Uint8Array | null): Tensor4D;
  dispose(): void;
}

export interface Kernels {
  /** One line for logs and tests: whose kernels these are. */
  readonly description: string;
  /** Copies bytes to where the device takes them from; it may be busy. They must not change until they are taken. */
  stage(bytes: Uint8Array, shape: Shape4D): StagedPixels;
  convolve(input: Tensor4D, filter: Tensor4D, window: Window): Tensor4D;
  /** d(convolution)/d(input), of the shape of its input. */
  inputGradient(gradient: Tensor4D, filter: Tensor4D, input: Shape4D, window: Window): Tensor4D;
  /** d(convolution)/d(filter), (kernel, kernel, in, out). */
  filterGradient(input: Tensor4D, gradient: Tensor4D, filter: Shape4D, window: Window): Tensor4D;
  /** x·Wᵀ: (N, in) and (out, in) → (N, out). */
  product(input: Tensor2D, matrix: Tensor2D): Tensor2D;
  /** Sums over all axes but the last. */
  biasGradient(gradient: Tensor): Tensor1D;
  /** The gradient where the output is above zero, else 0. */
  reluGradient(gradient: Tensor, output: Tensor): Tensor;
  maxPool(input: Tensor4D, kernel: number, stride: number): Tensor4D;
  maxPoolGradient(
    gradient: Tensor4D,
    ends: { readonly input: Tensor4D; readonly output: Tensor4D },
    kernel: number,
    stride: number,
  ): Tensor4D;
  normalise(input: Tensor4D, layer: LrnLayer): Tensor4D;
  normaliseGradient(
    gradient: Tensor4D,
    ends: { readonly input: Tensor4D; readonly output: Tensor4D },
    layer: LrnLayer,
  ): Tensor4D;
  /** Values of a dropout mask in order, as `fillDropoutMask` gives them: (rows, size). */
  dropoutMask(shape: [rows: number, size: number], probability: number, position: MaskPosition): Tensor;
  /** Takes the tensors over. */
  parameter(value: Tensor, velocity: Tensor | null): Parameter;
}

/** TensorFlow does not divide α by the window, as the spec does: Krizhevsky et al. 2012, §3.3, has α = 1e-4 for n = 5. */
export function lrnArguments({ size, alpha, beta, k }: LrnLayer): {
  readonly depthRadius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
} {
  return { depthRadius: (size - 1) / 2, bias: k, alpha: alpha / size, beta };
}
