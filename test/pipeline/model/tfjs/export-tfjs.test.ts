import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSession } from '../../../../src/pipeline/engine/onnxruntime/session.ts';
import {
  parameterCount,
  type Architecture,
  type ConvLayer,
  type Init,
  type Layer,
} from '../../../../src/pipeline/model/architecture.ts';
import { createArchitecture } from '../../../../src/pipeline/model/architectures.ts';
import { exportOnnx } from '../../../../src/pipeline/model/onnx/export-network.ts';
import { exportTfjs } from '../../../../src/pipeline/model/tfjs/export-tfjs.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { CPU, noisePixels, relativeError } from '../../engine/support.ts';
import { cardOf, cheapWeights, narrow, normalise } from '../export-support.ts';
import { evaluateLayers, readModelJson, readWeightData, type LayerConfig } from './evaluate-layers.ts';

const SHARD_BYTES = 4 * 1024 * 1024;
const INIT: Init = { weight: { kind: 'he-normal' }, bias: { kind: 'constant', value: 0 } };

const conv = (out: number, kernel: number, stride: number, pad: number, groups = 1): ConvLayer => ({
  kind: 'conv',
  out,
  kernel,
  stride,
  pad,
  groups,
  init: INIT,
});
const linear = (out: number): Layer => ({ kind: 'linear', out, init: INIT });
const FLATTEN: Layer = { kind: 'flatten' };
const RELU: Layer = { kind: 'relu' };

/** A net of our making whose input is not square, so that rows and columns cannot be mistaken for each other. */
function tiny(layers: readonly Layer[], height = 23, width = 31): Architecture {
  const small = createArchitecture('alexnet-small', { classes: 3 });
  return {
    ...small,
    name: 'tiny',
    input: { channels: 3, height, width },
    preprocessing: { ...small.preprocessing, crop: { height, width } },
    blocks: [{ name: 'net', layers: [...layers, linear(3)] }],
  };
}

const exportOf = (architecture: Architecture): Map<string, Uint8Array> =>
  exportTfjs({ architecture, weights: cheapWeights(architecture), card: cardOf(architecture) });

/** Largest relative difference between `logits` and those of the ONNX export in ONNX Runtime. */
async function errorAgainstOnnx(
  architecture: Architecture,
  logits: (input: Float32Array) => ArrayLike<number> | Promise<ArrayLike<number>>,
): Promise<number> {
  const card = cardOf(architecture);
  const { height, width } = card.preprocessing.crop;
  const pixels = noisePixels(height * width * 3);
  const onnx = exportOnnx({ architecture, weights: cheapWeights(architecture), card });
  const { session, runtime } = await createSession(onnx, CPU);
  const input = normalise(pixels, card.preprocessing, 'nchw');
  const results = await session.run({
    input: new runtime.Tensor('float32', input, [1, 3, height, width]),
  });
  await session.release();
  const expected = results['logits']?.data as Float32Array;
  return relativeError(await logits(normalise(pixels, card.preprocessing, 'nhwc')), expected);
}

const evaluated = (architecture: Architecture): Promise<number> =>
  errorAgainstOnnx(architecture, (input) => evaluateLayers(exportOf(architecture), input));

describe('exportTfjs, evaluated by Keras’ definitions', () => {
  it.each<[string, Architecture]>([
    [
      'padding, overlapping pools, groups, tanh, average pools, dropout',
      tiny(
        [
          [conv(6, 5, 2, 2), RELU, { kind: 'maxPool', kernel: 3, stride: 2 } as const],
          [conv(8, 3, 1, 1, 2), { kind: 'tanh' } as const, conv(4, 2, 1, 1), RELU],
          [{ kind: 'adaptiveAvgPool', out: 2 } as const, FLATTEN],
          [{ kind: 'dropout', probability: 0.5 } as const, linear(5), RELU],
        ].flat(),
      ),
    ],
    ['a flattened image that is not square', tiny([conv(4, 3, 4, 0), FLATTEN, RELU, linear(6)])],
    [
      'an average pool of equal size',
      tiny([conv(4, 3, 2, 1), { kind: 'adaptiveAvgPool', out: 4 }, FLATTEN], 8, 8),
    ],
    ['a small AlexNet', narrow(createArchitecture('alexnet-small', { classes: 3, activation: 'tanh' }))],
  ])('%s: the logits of the ONNX export', async (_, architecture) => {
    expect(await evaluated(architecture)).toBeLessThan(1e-5);
  });

  it('any convolution: the logits of the ONNX export', { timeout: 60_000 }, async () => {
    const side = fc.integer({ min: 6, max: 11 });
    const shape = fc.record({
      kernel: fc.integer({ min: 1, max: 5 }),
      stride: fc.integer({ min: 1, max: 4 }),
      pad: fc.integer({ min: 0, max: 3 }),
      groups: fc.constantFrom(1, 3),
      perGroup: fc.integer({ min: 1, max: 18 }),
      height: side,
      width: side,
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ kernel, stride, pad, groups, perGroup, height, width }) => {
        const layer = conv(groups * perGroup, kernel, stride, pad, groups);
        expect(await evaluated(tiny([layer, FLATTEN], height, width))).toBeLessThan(1e-5);
      }),
      { numRuns: 40 },
    );
  });
});

describe('exportTfjs', () => {
  const architecture = createArchitecture('alexnet-small', { classes: 10 });

  it('cuts the weights into shards of 4 MiB that share one copy, and names them in a model file that comes last', () => {
    const files = exportOf(architecture);
    const names = ['group1-shard1of2.bin', 'group1-shard2of2.bin'];
    expect([...files.keys()]).toEqual([...names, 'model.json']);
    const bytes = parameterCount(architecture) * 4;
    const shards = names.map((name) => files.get(name));
    expect(shards.map((shard) => shard?.length)).toEqual([SHARD_BYTES, bytes - SHARD_BYTES]);
    expect(shards[1]?.buffer).toBe(shards[0]?.buffer);
    const [group, ...others] = readModelJson(files).weightsManifest;
    expect(others).toEqual([]);
    expect(group?.paths).toEqual(names);
    expect(group?.weights.slice(0, 3)).toEqual([
      { name: 'features.0/kernel', shape: [5, 5, 3, 16], dtype: 'float32' },
      { name: 'features.0/bias', shape: [16], dtype: 'float32' },
      { name: 'features.3/kernel', shape: [5, 5, 16, 48], dtype: 'float32' },
    ]);
    const elements = group?.weights.map(({ shape }) => shape.reduce((product, size) => product * size, 1));
    expect(elements?.reduce((sum, size) => sum + size, 0)).toBe(parameterCount(architecture));
  });

  it('describes a Sequential model: a layer of its own for padding that `same` does not mean', () => {
    const { format, modelTopology, userDefinedMetadata } = readModelJson(exportOf(architecture));
    expect(format).toBe('layers-model');
    const { class_name: kind, config } = modelTopology.model_config;
    expect(kind).toBe('Sequential');
    const told = config.layers.map((layer) => `${layer.class_name} ${layer.config.name}`);
    expect(told.slice(0, 7)).toEqual([
      'InputLayer input',
      'ZeroPadding2D features.0.pad',
      'Conv2D features.0',
      'Activation features.1',
      'MaxPooling2D features.2',
      'Conv2D features.3',
      'Activation features.4',
    ]);
    expect(told.slice(-8, -5)).toEqual(['Flatten flatten.0', 'Dropout classifier.0', 'Dense classifier.1']);
    expect(config.layers[0]?.config.batch_input_shape).toEqual([null, 64, 64, 3]);
    const first: Partial<LayerConfig> = {
      padding: 'valid',
      strides: [2, 2],
      kernel_size: [5, 5],
      filters: 16,
    };
    expect(config.layers[2]?.config).toMatchObject(first);
    expect(config.layers[5]?.config.padding).toBe('same');
    const { labels, preprocessing } = cardOf(architecture);
    expect(userDefinedMetadata).toEqual({
      architecture: 'alexnet-small',
      scores: 'logits',
      labels,
      preprocessing,
    });
  });

  it.each([
    [
      'alexnet-2012',
      createArchitecture('alexnet-2012', { classes: 3 }),
      'alexnet-2012.safetensors: expected a model of layers that TensorFlow.js has, got alexnet-2012 with local ' +
        'response normalisation; export the model to ONNX instead',
    ],
    [
      'average pools of unequal windows',
      tiny([{ kind: 'adaptiveAvgPool', out: 6 }, FLATTEN]),
      'expected multiples of 6, got 23×31; choose another crop, or export the model to ONNX instead',
    ],
  ])('refuses %s and names the way out', (_, refused, message) => {
    const attempt = (): unknown =>
      exportTfjs({ architecture: refused, weights: new Map(), card: cardOf(refused) });
    expect(attempt).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
    expect(attempt).toThrow(message);
  });

  it('refuses weights that are missing', () => {
    const weights = new Map([...cheapWeights(architecture)].slice(0, -1));
    expect(() => exportTfjs({ architecture, weights, card: cardOf(architecture) })).toThrow(
      'classifier.6.bias: expected a tensor (10), got none',
    );
  });
});

/** What the test needs of the library, which is no dependency of ours. */
interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  readonly io: { fromMemory(artifacts: object): unknown };
  tensor4d(data: Float32Array, shape: readonly number[]): unknown;
}
interface TfjsLayers {
  loadLayersModel(handler: unknown): Promise<{
    predict(input: unknown): { dataSync(): Float32Array };
    getUserDefinedMetadata(): Record<string, unknown>;
  }>;
}

const PACKAGES = [
  '@tensorflow/tfjs-core',
  '@tensorflow/tfjs-layers',
  '@tensorflow/tfjs-backend-cpu',
] as const;

/** Paths of the packages, where all are installed. */
function findPackages(): string[] | null {
  const { resolve } = createRequire(import.meta.url);
  try {
    return PACKAGES.map((name) => resolve(name));
  } catch {
    return null;
  }
}

const packages = findPackages();

it.skipIf(packages === null)(
  titleNeeding(
    '@tensorflow/tfjs-layers',
    packages !== null,
    'TensorFlow.js gives the logits of the ONNX export for alexnet-small',
  ),
  { timeout: 120_000 },
  async () => {
    const [tf, layers] = (await Promise.all(
      (packages ?? []).map((path) => import(pathToFileURL(path).href)),
    )) as [Tfjs, TfjsLayers];
    await tf.setBackend('cpu');
    const architecture = createArchitecture('alexnet-small', { classes: 10 });
    const files = exportOf(architecture);
    const { modelTopology, weightsManifest, userDefinedMetadata } = readModelJson(files);
    const model = await layers.loadLayersModel(
      tf.io.fromMemory({
        modelTopology,
        weightSpecs: weightsManifest.flatMap(({ weights }) => weights),
        weightData: readWeightData(files),
        userDefinedMetadata,
      }),
    );
    expect(model.getUserDefinedMetadata()).toEqual(userDefinedMetadata);
    const error = await errorAgainstOnnx(architecture, (input) =>
      model.predict(tf.tensor4d(input, [1, 64, 64, 3])).dataSync(),
    );
    expect(error).toBeLessThan(1e-4);
  },
);
