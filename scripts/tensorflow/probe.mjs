// Run in a process of its own, since a wrong library may take that down: loads TensorFlow from a directory and lets it
// compute what plain JavaScript computes too. Prints one line of JSON.
//
//   node probe.mjs DIRECTORY PACKAGE
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [directory, packageName] = process.argv.slice(2);
const require = createRequire(join(directory, 'package.json'));

// tfjs-node 4.22 calls what Node 23 has removed.
const util = require('node:util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
util.isArray ??= (value) => Array.isArray(value);

const tf = require(packageName);

// Small whole numbers: exact in every precision that a GPU may choose for a convolution.
const SIDE = 5;
const IN = 2;
const KERNEL = 3;
const OUT = 2;
const CLASSES = 3;
const numbers = (count, step) => Array.from({ length: count }, (_, index) => ((index * step) % 7) - 3);
const image = numbers(SIDE * SIDE * IN, 3);
const filter = numbers(KERNEL * KERNEL * IN * OUT, 5);
const matrix = numbers(SIDE * SIDE * OUT * CLASSES, 2);
const weights = numbers(CLASSES, 4);

/** The convolution of an image with a filter, both NHWC, with a border of zeros; then a product with the matrix. */
function forward(pixels, kernel) {
  const scores = Array.from({ length: CLASSES }, () => 0);
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++)
      for (let channel = 0; channel < OUT; channel++) {
        const value = convolved(pixels, kernel, y, x, channel);
        const row = ((y * SIDE + x) * OUT + channel) * CLASSES;
        for (let k = 0; k < CLASSES; k++) scores[k] += value * matrix[row + k];
      }
  return scores;
}

function convolved(pixels, kernel, y, x, channel) {
  let sum = 0;
  for (let dy = 0; dy < KERNEL; dy++)
    for (let dx = 0; dx < KERNEL; dx++) {
      const [row, column] = [y + dy - 1, x + dx - 1];
      if (row < 0 || column < 0 || row >= SIDE || column >= SIDE) continue;
      for (let i = 0; i < IN; i++) {
        const pixel = pixels[(row * SIDE + column) * IN + i];
        sum += pixel * kernel[((dy * KERNEL + dx) * IN + i) * OUT + channel];
      }
    }
  return sum;
}

const loss = (pixels, kernel) =>
  forward(pixels, kernel).reduce((sum, score, index) => sum + score * weights[index], 0);

/** The gradient of a linear function is what it makes of the unit vectors. */
const gradient = (count, linear) =>
  Array.from({ length: count }, (_, one) =>
    linear(Array.from({ length: count }, (_, i) => (i === one ? 1 : 0))),
  );

const expected = {
  scores: forward(image, filter),
  'gradient of the image': gradient(image.length, (pixels) => loss(pixels, filter)),
  'gradient of the filter': gradient(filter.length, (kernel) => loss(image, kernel)),
};

function compute() {
  const x = tf.tensor4d(image, [1, SIDE, SIDE, IN]);
  const w = tf.tensor4d(filter, [KERNEL, KERNEL, IN, OUT]);
  const scores = (pixels, kernel) =>
    tf.matMul(
      tf.conv2d(pixels, kernel, 1, 'same').reshape([1, SIDE * SIDE * OUT]),
      tf.tensor2d(matrix, [SIDE * SIDE * OUT, CLASSES]),
    );
  const gradients = tf.grads((pixels, kernel) =>
    scores(pixels, kernel)
      .mul(tf.tensor2d(weights, [1, CLASSES]))
      .sum(),
  );
  const [ofImage, ofFilter] = gradients([x, w]);
  return {
    scores: [...scores(x, w).dataSync()],
    'gradient of the image': [...ofImage.dataSync()],
    'gradient of the filter': [...ofFilter.dataSync()],
  };
}

const computed = compute();
const wrong = Object.keys(expected).filter((name) =>
  expected[name].some((value, i) => computed[name][i] !== value),
);
const backend = tf.backend();
process.stdout.write(
  `\n${JSON.stringify({
    backend: tf.getBackend(),
    tensorflow: backend.binding?.TF_Version ?? null,
    tfjs: tf.version['tfjs-node'],
    device: backend.isUsingGpuDevice === true ? 'GPU' : 'CPU',
    wrong,
  })}\n`,
);
