/** From the bytes of a slab to the network's input, on the device. */
import type { Tensor, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Preprocessing } from '../../../contract/model-card.ts';
import { GREY_WEIGHTS } from '../../model/grey-weights.ts';
import type { BatchColour } from '../trainer.ts';
import type { Runtime } from './network.ts';

/** (pixel × scale − mean) / std per channel, as one factor and one offset each. */
function affine({ scale, mean, std }: Preprocessing): {
  readonly factor: number[];
  readonly offset: number[];
} {
  return {
    factor: std.map((deviation) => scale / deviation),
    offset: mean.map((value, channel) => -value / (std[channel] ?? 1)),
  };
}

/**
 * (N, H, W, 3) uint8 → float32, normalised. Must run inside a `tidy`.
 * @param pixels 0..255 float32; freed
 */
export function normalisePixels({ tf }: Runtime, pixels: Tensor4D, preprocessing: Preprocessing): Tensor4D {
  const { factor, offset } = affine(preprocessing);
  const [rows, height, width] = pixels.shape;
  // A row's constants side by side: broadcasting three numbers over the innermost axis is slow on processors.
  const repeat = (values: readonly number[]): Tensor =>
    tf.tensor1d(Float32Array.from({ length: width * 3 }, (_, index) => values[index % 3] ?? 0));
  let lines: Tensor = tf.reshape(pixels, [rows, height, width * 3]);
  pixels.dispose();
  if (factor.some((value) => value !== 1)) {
    const scaled = tf.mul(lines, repeat(factor));
    lines.dispose();
    lines = scaled;
  }
  const shifted = tf.add(lines, repeat(offset));
  lines.dispose();
  return tf.reshape(shifted, [rows, height, width, 3]);
}

/**
 * Colour augmentation and normalisation at once: M·x + b · mean(grey(x)) + s for every item, then as
 * {@link normalisePixels}; the normalisation goes into the matrix and the shift. Must run inside a `tidy`.
 */
export function augmentPixels(
  { tf }: Runtime,
  pixels: Tensor4D,
  colour: BatchColour,
  preprocessing: Preprocessing,
): Tensor4D {
  const [rows, height, width] = pixels.shape;
  const { factor, offset } = affine(preprocessing);
  const flat = tf.reshape(pixels, [rows, height * width, 3]) as Tensor3D;
  const greys = tf.sum(tf.mul(tf.mean(flat, 1), tf.tensor1d([...GREY_WEIGHTS])), 1, true);
  const factors = tf.tensor1d(factor);
  const shifts = tf.add(
    tf.mul(
      tf.add(tf.tensor2d(colour.shifts, [rows, 3]), tf.mul(greys, tf.tensor2d(colour.greyShifts, [rows, 1]))),
      factors,
    ),
    tf.tensor1d(offset),
  );
  const matrices = tf.mul(tf.tensor3d(colour.matrices, [rows, 3, 3]), tf.reshape(factors, [3, 1]));
  const turned = tf.matMul(flat, matrices, false, true);
  pixels.dispose();
  flat.dispose();
  const shifted = tf.add(turned, tf.reshape(shifts, [rows, 1, 3]));
  turned.dispose();
  return tf.reshape(shifted, [rows, height, width, 3]);
}
