/**
 * Dropout masks drawn on the device: TensorFlow's stateless generator is Philox4x32-10 too, so the same counter and key
 * give the values of `fillDropoutMask`, without sending megabytes there with every step.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import { fillDropoutMask, maskStream, type MaskPosition } from '../../model/dropout-mask.ts';
import type { Tfjs } from './kernels.ts';
import type { Operators } from './native-backend.ts';
import { RawScope } from './raw-scope.ts';

/** TF_DataType, of which the binding names only a few. */
const UINT16 = 17;
const UINT32 = 22;
const UINT64 = 23;
/** `RNG_ALG_PHILOX` of tensorflow/core/framework/rng_alg.h. */
const PHILOX = 1;
const HALVES_PER_WORD = 2;

type Shape = [rows: number, size: number];
type DrawMask = (shape: Shape, probability: number, position: MaskPosition) => Tensor;

/** What it draws where it is tried: an odd number of values, in more than one block, everything of the counter used. */
const TRIAL: [Shape, number, MaskPosition] = [
  [3, 7],
  0.3,
  { seed: 2 ** 40 + 3, epoch: 5, batch: 9, layer: 1 },
];

/** Masks from the device where it draws what it should, which is tried once; else from this process. */
export function dropoutMasks(tf: Tfjs, operators: Operators): DrawMask {
  const sent: DrawMask = (shape, probability, position) => {
    const mask = new Float32Array(shape[0] * shape[1]);
    fillDropoutMask(mask, probability, position);
    return tf.tensor2d(mask, shape);
  };
  const drawn: DrawMask = (shape, probability, position) =>
    tf.tidy(() => drawMask(tf, operators, shape, probability, position));
  let chosen: DrawMask | null = null;
  return (shape, probability, position) => {
    chosen ??= isSame(drawn, sent) ? drawn : sent;
    return chosen(shape, probability, position);
  };
}

function isSame(drawn: DrawMask, sent: DrawMask): boolean {
  try {
    const [one, other] = [drawn(...TRIAL), sent(...TRIAL)];
    const [values, expected] = [one.dataSync(), other.dataSync()];
    one.dispose();
    other.dispose();
    return expected.every((value, index) => values[index] === value);
  } catch {
    // An operator that this TensorFlow, or this device, lacks.
    return false;
  }
}

function drawMask(
  tf: Tfjs,
  operators: Operators,
  [rows, size]: Shape,
  probability: number,
  position: MaskPosition,
): Tensor {
  const { key, counter, threshold, kept } = maskStream(probability, position);
  const words = Math.ceil((rows * size) / HALVES_PER_WORD);
  const halves = tf.reshape(drawHalves(operators, words, key, counter), [words * HALVES_PER_WORD]);
  const values = tf.reshape(tf.slice(halves, [0], [rows * size]), [rows, size]);
  return tf.mul(tf.cast(tf.greaterEqual(values, threshold), 'float32'), kept);
}

/** (words, 2) float32: the halves of consecutive words, the lower one first. */
function drawHalves(operators: Operators, words: number, key: Uint32Array, counter: Uint32Array): Tensor {
  const { binding, attributes } = operators;
  const { type } = attributes;
  return RawScope.use(operators, (scope) => {
    const integers = (values: Uint32Array | readonly number[], shape: readonly number[]): number =>
      scope.tensor(binding.TF_INT32, shape, Int32Array.from(values));
    const bitcast = (id: number, from: number, to: number): number =>
      scope.run('Bitcast', [type('T', from), type('type', to)], [id]);
    const drawn = scope.run(
      'StatelessRandomUniformFullIntV2',
      [type('dtype', UINT32), type('Tshape', binding.TF_INT32)],
      [
        integers([words], [1]),
        bitcast(integers(key, [1, 2]), binding.TF_INT32, UINT64),
        bitcast(integers(counter, [2, 2]), binding.TF_INT32, UINT64),
        integers([PHILOX], []),
      ],
    );
    return scope.castToFloat(bitcast(drawn, UINT32, UINT16), UINT16);
  });
}
