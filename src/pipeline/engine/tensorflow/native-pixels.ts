/** Bytes of a slab → float32 on the device. They stay bytes until they are there, a quarter of what floats would be. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Shape4D, StagedPixels, Tfjs } from './kernels.ts';
import type { Operators } from './native-backend.ts';
import { RawScope } from './raw-scope.ts';

/** Of (rows, width, channels). */
const WIDTH_AXIS = 1;

/** Copies the bytes into TensorFlow's own memory; nothing waits for the device. */
export function stagePixels(tf: Tfjs, operators: Operators, bytes: Uint8Array, shape: Shape4D): StagedPixels {
  const { binding } = operators;
  const slab = binding.createTensor(shape, binding.TF_UINT8, bytes);
  return {
    take(mirrored) {
      const pixels = RawScope.use(
        operators,
        (scope) => scope.castToFloat(scope.adopt(slab), binding.TF_UINT8) as Tensor4D,
      );
      if (mirrored?.some((flag) => flag !== 0) !== true) return pixels;
      return tf.tidy(() => mirrorItems(tf, operators, pixels, mirrored));
    },
    dispose: () => binding.deleteTensor(slab),
  };
}

/** After the cast: on GPUs TensorFlow chooses between floats, but not between bytes. Frees the pixels. */
function mirrorItems(tf: Tfjs, operators: Operators, pixels: Tensor4D, mirrored: Uint8Array): Tensor4D {
  const [items, height, width, channels] = pixels.shape;
  // Of three axes and three channels: TensorFlow has a faster loop for that on processors.
  const lines = tf.reshape(pixels, [items * height, width, channels]);
  const reversed = tf.reshape(tf.reverse(lines, WIDTH_AXIS), pixels.shape);
  const flags = tf.tensor1d(mirrored, 'bool');
  const shown = operators.run4d('Select', [operators.float], [flags, reversed, pixels]);
  pixels.dispose();
  return shown;
}
