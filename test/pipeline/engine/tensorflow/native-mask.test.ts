import { describe, expect, it } from 'vitest';
import { Operators, nodeBackend } from '../../../../src/pipeline/engine/tensorflow/native-backend.ts';
import { dropoutMasks } from '../../../../src/pipeline/engine/tensorflow/native-mask.ts';
import { fillDropoutMask } from '../../../../src/pipeline/model/dropout-mask.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { NATIVE_TENSORFLOW, nativeTensorflow } from '../tensorflow-here.ts';

const native = nativeTensorflow('cpu');

describe.skipIf(native === null)('dropout masks of the device', () => {
  it.each([
    [[1, 1], 0.5, { seed: 0, epoch: 1, batch: 0, layer: 0 }],
    [[3, 7], 0.25, { seed: 2 ** 53 - 1, epoch: 90, batch: 2 ** 31 + 5, layer: 2 }],
    [[64, 9216], 0.5, { seed: 7, epoch: 3, batch: 41, layer: 1 }],
    [[5, 4099], 0.999, { seed: 1, epoch: 1, batch: 1, layer: 0 }],
  ] as const)(
    titleNeeding(NATIVE_TENSORFLOW, native !== null, 'are those that are drawn here: %j'),
    ([rows, size], probability, position) => {
      if (native === null) return;
      const { tf } = native;
      const backend = nodeBackend(tf);
      if (backend === null) throw new Error('expected the native backend');
      const tensors = [tf.memory().numTensors, backend.binding.getNumOfTensors()];
      let draws = 0;
      const operators = new Operators(backend);
      const counted = Object.assign(Object.create(operators) as Operators, {
        binding: operators.binding,
        attributes: operators.attributes,
        wrap: operators.wrap.bind(operators),
        runRaw: (...args: Parameters<Operators['runRaw']>) => {
          if (args[0] === 'StatelessRandomUniformFullIntV2') draws += 1;
          return operators.runRaw(...args);
        },
      });
      const mask = dropoutMasks(tf, counted)([rows, size], probability, position);
      const expected = new Float32Array(rows * size);
      fillDropoutMask(expected, probability, position);
      expect(mask.shape).toEqual([rows, size]);
      expect(mask.dataSync()).toEqual(expected);
      // The trial and the mask itself: what came was not sent from here.
      expect(draws).toBe(2);
      mask.dispose();
      expect([tf.memory().numTensors, backend.binding.getNumOfTensors()]).toEqual(tensors);
    },
  );
});
