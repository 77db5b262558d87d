import { describe, expect, it } from 'vitest';
import type { Classification } from '../../../../src/pipeline/engine/engine.ts';
import { OnnxruntimeClassifier } from '../../../../src/pipeline/engine/onnxruntime/classifier.ts';
import { TensorflowClassifier } from '../../../../src/pipeline/engine/tensorflow/classifier.ts';
import type { Runtime } from '../../../../src/pipeline/engine/tensorflow/network.ts';
import { createArchitecture } from '../../../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../../../src/pipeline/model/init.ts';
import type { CompileOptions } from '../../../../src/pipeline/model/onnx/classifier-ends.ts';
import { compileClassifier } from '../../../../src/pipeline/model/onnx/compile-classifier.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { blockPixels, CPU, relativeError } from '../support.ts';
import { NATIVE_TENSORFLOW, nativeTensorflow } from '../tensorflow-here.ts';

const native = nativeTensorflow('cpu');
const here = (title: string): string => titleNeeding(NATIVE_TENSORFLOW, native !== null, title);

interface Case {
  readonly title: string;
  readonly name: 'alexnet-small' | 'alexnet-2012' | 'alexnet-owt';
  readonly options: Partial<CompileOptions>;
  readonly preprocessing?: object;
}

const CASES: readonly Case[] = [
  { title: 'one crop', name: 'alexnet-small', options: {} },
  { title: 'ten crops, averaged', name: 'alexnet-small', options: { crops: 10 } },
  {
    title: 'blue before green before red, another mean per channel',
    name: 'alexnet-small',
    options: {},
    preprocessing: { channelOrder: 'bgr', mean: [0.1, 0.5, 0.9] },
  },
  {
    title: 'pooling windows of unequal sizes',
    name: 'alexnet-owt',
    options: {},
    preprocessing: { crop: { height: 256, width: 225 } },
  },
  { title: 'two towers and normalisation', name: 'alexnet-2012', options: {} },
];

function expectSame(actual: Classification, expected: Classification): void {
  expect([...actual.ids]).toEqual([...expected.ids]);
  expect(relativeError(actual.scores, expected.scores)).toBeLessThan(1e-5);
  expect(relativeError(actual.embeddings ?? [], expected.embeddings ?? [])).toBeLessThan(1e-4);
}

describe('a classifier on TensorFlow', () => {
  it.skipIf(native === null)(
    here('labels in smaller parts where memory does not suffice, says so, and labels the same'),
    async () => {
      if (native === null) return;
      const architecture = createArchitecture('alexnet-small', { classes: 10 });
      const { preprocessing } = architecture;
      const weights = initialiseWeights(architecture, 5);
      const options = { topK: 4, batchSize: 5, crops: 10, embeddings: true } as const;
      const input = { architecture, weights, preprocessing, options };
      const small: Runtime = {
        tf: native.tf,
        kernels: {
          ...native.kernels,
          maxPool(pixels, kernel, stride) {
            // Room for two items, each ten crops.
            if (pixels.shape[0] <= 20) return native.kernels.maxPool(pixels, kernel, stride);
            throw new Error('Invalid TF_Status: 8\nMessage: OOM when allocating tensor');
          },
        },
      };
      const notices: string[] = [];
      const [whole, parts] = [
        new TensorflowClassifier(native, input, (text) => notices.push(`whole: ${text}`)),
        new TensorflowClassifier(small, input, (text) => notices.push(text)),
      ];
      const pixels = blockPixels(5 * whole.geometry.cropsPerItem, 64);
      const tensors = native.tf.memory().numTensors;
      expectSame(await parts.classify(pixels, 5), await whole.classify(pixels, 5));
      expectSame(await parts.classify(pixels, 1), await whole.classify(pixels, 1));
      expect(notices).toEqual(
        [3, 2].map(
          (rows) =>
            `out of device memory: from now on ${rows} of the 5 images of a batch go through at a time`,
        ),
      );
      expect(native.tf.memory().numTensors).toBe(tensors);
      await Promise.all([whole.close(), parts.close()]);
    },
  );

  it.skipIf(native === null).each(CASES)(
    here('labels as one on ONNX Runtime does: $title'),
    { timeout: 120_000 },
    async ({ name, options, preprocessing }) => {
      if (native === null) return;
      const architecture = createArchitecture(name, { classes: 10 });
      const input = {
        architecture,
        weights: initialiseWeights(architecture, 5),
        preprocessing: { ...architecture.preprocessing, ...preprocessing },
        options: { topK: 4, batchSize: 3, crops: 1, embeddings: true, ...options } as const,
      };
      const tensorflow = new TensorflowClassifier(native, input, () => {});
      const { onnx, ...geometry } = compileClassifier(input);
      expect(tensorflow.geometry).toEqual(geometry);
      const onnxruntime = await OnnxruntimeClassifier.create({ onnx, ...geometry }, CPU);
      const { height, width, cropsPerItem } = geometry;
      const pixels = blockPixels(3 * cropsPerItem, Math.max(height, width));
      const tensors = native.tf.memory().numTensors;
      for (const count of [3, 2, 1]) {
        expectSame(await tensorflow.classify(pixels, count), await onnxruntime.classify(pixels, count));
      }
      expect(native.tf.memory().numTensors).toBe(tensors);
      await expect(tensorflow.classify(pixels, 4)).rejects.toThrow('expected 1 to 3 items in a batch, got 4');
      await expect(tensorflow.classify(pixels.subarray(0, 99), 1)).rejects.toThrow('expected a slab of');
      await Promise.all([tensorflow.close(), onnxruntime.close()]);
    },
  );
});
