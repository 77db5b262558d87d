import { describe, expect, it } from 'vitest';
import { Operators, nodeBackend } from '../../../../src/pipeline/engine/tensorflow/native-backend.ts';
import { stagePixels } from '../../../../src/pipeline/engine/tensorflow/native-pixels.ts';
import type { Shape4D } from '../../../../src/pipeline/engine/tensorflow/kernels.ts';
import { mirror } from '../../decode/augmented-images.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { NATIVE_TENSORFLOW, nativeTensorflow } from '../tensorflow-here.ts';

const native = nativeTensorflow('cpu');
const here = (title: string): string => titleNeeding(NATIVE_TENSORFLOW, native !== null, title);

const SHAPE: Shape4D = [3, 5, 7, 3];
const IMAGE = { width: 7, height: 5 };
const ITEM = 5 * 7 * 3;
const BYTES = Uint8Array.from({ length: 3 * ITEM }, (_, index) => (index * 89) % 256);

function scene() {
  const backend = native && nodeBackend(native.tf);
  if (native === null || backend === null) throw new Error('expected a native TensorFlow');
  const { tf } = native;
  const counts = () => [tf.memory().numTensors, backend.binding.getNumOfTensors()];
  return { tf, operators: new Operators(backend), counts, before: counts() };
}

describe.skipIf(native === null)('pixels on their way to the device', () => {
  it.each([
    ['none', null],
    ['none, by its flags', [0, 0, 0]],
    ['the outer two', [1, 0, 1]],
    ['all', [1, 1, 1]],
  ])(here('become floats there; mirrored: %s'), (_, flags) => {
    const { tf, operators, counts, before } = scene();
    const bytes = BYTES.slice();
    const pixels = stagePixels(tf, operators, bytes, SHAPE).take(flags && Uint8Array.from(flags));
    const expected = [0, 1, 2].flatMap((item) => {
      const image = BYTES.subarray(item * ITEM, (item + 1) * ITEM);
      return [...(flags?.[item] === 1 ? mirror(image, IMAGE) : image)];
    });
    expect(pixels.shape).toEqual(SHAPE);
    expect(pixels.dtype).toBe('float32');
    expect([...pixels.dataSync()]).toEqual(expected);
    pixels.dispose();
    expect(counts()).toEqual(before);
  });

  it(here('leave nothing behind where they are not wanted any more'), () => {
    const { tf, operators, counts, before } = scene();
    stagePixels(tf, operators, BYTES, SHAPE).dispose();
    expect(counts()).toEqual(before);
  });
});
