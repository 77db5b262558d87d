import { describe, expect, it } from 'vitest';
import {
  embeddingSize,
  outputShape,
  parameterCount,
  parametersOf,
  placeLayers,
  type Layer,
} from '../../../src/pipeline/model/architecture.ts';
import {
  ARCHITECTURE_NAMES,
  architectureByName,
  createArchitecture,
} from '../../../src/pipeline/model/architectures.ts';

const thousand = { classes: 1000 };

describe('architectures', () => {
  it.each([
    ['alexnet-2012', 60_965_224, 4096],
    ['alexnet-caffe', 60_965_224, 4096],
    ['alexnet-owt', 61_100_840, 4096],
    ['alexnet-small', 2_819_768, 1024],
  ] as const)('%s has %d parameters with 1000 classes', (name, parameters, embedding) => {
    const architecture = createArchitecture(name, thousand);
    expect(parameterCount(architecture)).toBe(parameters);
    expect(embeddingSize(architecture)).toBe(embedding);
    expect(placeLayers(architecture).at(-1)?.output).toEqual([1000]);
  });

  it("names alexnet-owt's parameters as torchvision's state_dict does, in its order", () => {
    const listed = parametersOf(createArchitecture('alexnet-owt', thousand));
    expect(listed.map(({ name, shape }) => `${name} ${shape.join('x')}`)).toEqual([
      'features.0.weight 64x3x11x11',
      'features.0.bias 64',
      'features.3.weight 192x64x5x5',
      'features.3.bias 192',
      'features.6.weight 384x192x3x3',
      'features.6.bias 384',
      'features.8.weight 256x384x3x3',
      'features.8.bias 256',
      'features.10.weight 256x256x3x3',
      'features.10.bias 256',
      'classifier.1.weight 4096x9216',
      'classifier.1.bias 4096',
      'classifier.4.weight 4096x4096',
      'classifier.4.bias 4096',
      'classifier.6.weight 1000x4096',
      'classifier.6.bias 1000',
    ]);
  });

  it('follows the sizes of the 2012 paper', () => {
    const outputs = placeLayers(createArchitecture('alexnet-2012', thousand)).map(({ layer, output }) => [
      layer.kind,
      output.join('x'),
    ]);
    expect(outputs.filter(([kind]) => kind === 'conv' || kind === 'maxPool')).toEqual([
      ['conv', '96x55x55'],
      ['maxPool', '96x27x27'],
      ['conv', '256x27x27'],
      ['maxPool', '256x13x13'],
      ['conv', '384x13x13'],
      ['conv', '384x13x13'],
      ['conv', '256x13x13'],
      ['maxPool', '256x6x6'],
    ]);
  });

  it('starts hidden biases of 2012 at 1 and of Caffe at 0.1, in the layers the paper names', () => {
    const biases = (name: 'alexnet-2012' | 'alexnet-caffe'): unknown[] =>
      parametersOf(createArchitecture(name, thousand)).flatMap(({ init }) =>
        init.role === 'bias' && init.fill.kind === 'constant' ? [init.fill.value] : [],
      );
    expect(biases('alexnet-2012')).toEqual([0, 1, 0, 1, 1, 1, 1, 0]);
    expect(biases('alexnet-caffe')).toEqual([0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0]);
  });

  it('is plain data that survives JSON', () => {
    for (const name of ARCHITECTURE_NAMES) {
      const architecture = createArchitecture(name, thousand);
      expect(JSON.parse(JSON.stringify(architecture))).toEqual(architecture);
    }
  });

  it('is found again by its name, with either activation', () => {
    const tanh = createArchitecture('alexnet-small', { classes: 7, activation: 'tanh' });
    expect(tanh.name).toBe('alexnet-small+tanh');
    expect(architectureByName(tanh.name, 7)).toEqual(tanh);
    expect(placeLayers(tanh).some(({ layer }) => layer.kind === 'relu')).toBe(false);
    expect(architectureByName('alexnet-owt', 7)).toEqual(createArchitecture('alexnet-owt', { classes: 7 }));
    expect(architectureByName('resnet-50', 7)).toBeUndefined();
  });
});

describe('outputShape', () => {
  const conv: Layer = {
    kind: 'conv',
    out: 8,
    kernel: 3,
    stride: 2,
    pad: 1,
    groups: 2,
    init: { weight: { kind: 'he-normal' }, bias: { kind: 'constant', value: 0 } },
  };

  it('rounds down, as torch does', () => {
    expect(outputShape(conv, [4, 8, 9])).toEqual([8, 4, 5]);
    expect(outputShape({ kind: 'maxPool', kernel: 3, stride: 2 }, [4, 8, 9])).toEqual([4, 3, 4]);
  });

  it('refuses channels that do not divide into groups, windows that do not fit, and wrong ranks', () => {
    expect(() => outputShape(conv, [3, 8, 8])).toThrow('3 → 8 channels do not divide into 2 groups');
    expect(() => outputShape({ kind: 'maxPool', kernel: 3, stride: 2 }, [4, 2, 9])).toThrow('does not fit');
    expect(() => outputShape({ ...conv, kind: 'linear' } as unknown as Layer, [4, 2, 9])).toThrow('flat');
  });
});
