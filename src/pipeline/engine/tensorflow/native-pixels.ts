/** Bytes of a slab → float32 on the device. They stay bytes until they are there, a quarter of what floats would be. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Shape4D, StagedPixels } from './kernels.ts';
import type { Operators } from './native-backend.ts';
import { RawScope } from './raw-scope.ts';

/** TF_DataType, of which the binding names only a few. */
const BOOL = 10;
/** Of (rows, width, channels). */
const WIDTH_AXIS = 1;

/** Copies the bytes into TensorFlow's own memory; nothing waits for the device. */
export function stagePixels(operators: Operators, bytes: Uint8Array, shape: Shape4D): StagedPixels {
  const { binding } = operators;
  const slab = binding.createTensor(shape, binding.TF_UINT8, bytes);
  return {
    take: (mirrored) =>
      RawScope.use(operators, (scope) => {
        const flags = mirrored?.some((flag) => flag !== 0) === true ? mirrored : null;
        const pixels = place(operators, scope, scope.adopt(slab));
        const shown = flags === null ? pixels : mirrorRows(operators, scope, { pixels, shape, flags });
        return scope.castToFloat(shown, binding.TF_UINT8) as Tensor4D;
      }),
    dispose: () => binding.deleteTensor(slab),
  };
}

/** Every operator that reads a tensor of the processor on a GPU would send it there anew. */
function place({ binding, attributes }: Operators, scope: RawScope, pixels: number): number {
  return scope.run('Identity', [attributes.type('T', binding.TF_UINT8)], [pixels]);
}

interface Mirroring {
  readonly pixels: number;
  readonly shape: Shape4D;
  readonly flags: Uint8Array;
}

function mirrorRows(operators: Operators, scope: RawScope, { pixels, shape, flags }: Mirroring): number {
  const { binding, attributes } = operators;
  const [items, height, width, channels] = shape;
  const uint8 = attributes.type('T', binding.TF_UINT8);
  const reshape = (input: number, to: readonly number[]): number => {
    const size = scope.tensor(binding.TF_INT32, [to.length], Int32Array.from(to));
    return scope.run('Reshape', [uint8, attributes.type('Tshape', binding.TF_INT32)], [input, size]);
  };
  // Of three axes and three channels: TensorFlow has a faster loop for that on processors.
  const axis = scope.tensor(binding.TF_INT32, [1], Int32Array.of(WIDTH_AXIS));
  const reversed = scope.run(
    'ReverseV2',
    [uint8, attributes.type('Tidx', binding.TF_INT32)],
    [reshape(pixels, [items * height, width, channels]), axis],
  );
  const isMirrored = scope.tensor(BOOL, [items], flags);
  return scope.run('Select', [uint8], [isMirrored, reshape(reversed, shape), pixels]);
}
