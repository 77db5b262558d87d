import { describe, expect, it } from 'vitest';
import { parametersOf, product, type Architecture } from '../../../src/pipeline/model/architecture.ts';
import { ARCHITECTURE_NAMES, createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import {
  matchArchitecture,
  plainNames,
  withInputSize,
} from '../../../src/pipeline/model/match-architecture.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';

/** Shapes without the memory: matching looks at names and shapes only. */
function shapesOf(architecture: Architecture): Map<string, { shape: readonly number[]; data: Float32Array }> {
  return new Map(
    parametersOf(architecture).map(({ name, shape }) => [
      name,
      { shape, data: new Float32Array(Math.min(4, product(shape))) },
    ]),
  );
}

describe('matchArchitecture', () => {
  it.each(ARCHITECTURE_NAMES.filter((name) => name !== 'alexnet-caffe'))(
    'finds %s by its tensors',
    (name) => {
      const architecture = createArchitecture(name, { classes: 17 });
      expect(matchArchitecture(shapesOf(architecture), undefined, 'm')).toEqual(architecture);
    },
  );

  it('follows a given name where tensors do not tell', () => {
    const caffe = createArchitecture('alexnet-caffe', { classes: 5 });
    expect(matchArchitecture(shapesOf(caffe), 'alexnet-caffe', 'm')).toEqual(caffe);
    const tanh = createArchitecture('alexnet-small', { classes: 5, activation: 'tanh' });
    expect(matchArchitecture(shapesOf(tanh), tanh.name, 'm')).toEqual(tanh);
  });

  it('names the first tensors that differ from the nearest architecture', () => {
    const weights = shapesOf(createArchitecture('alexnet-owt', { classes: 10 }));
    weights.set('features.3.weight', { shape: [192, 64, 3, 3], data: new Float32Array(4) });
    weights.delete('features.6.bias');
    weights.set('extra', { shape: [], data: new Float32Array(1) });
    expect(() => matchArchitecture(weights, undefined, 's3://m/w.pth')).toThrow(
      's3://m/w.pth: the weights do not fit alexnet-owt: features.3.weight expected (192, 64, 5, 5), got (192, 64, 3, 3); ' +
        'features.6.bias expected (384), got none; extra expected none, got ()',
    );
    expect(() => matchArchitecture(weights, 'alexnet-2012', 'm')).toThrow(
      /do not fit alexnet-2012: .*; and \d+ more$/,
    );
  });

  it('refuses unknown names and foreign weights', () => {
    const weights = shapesOf(createArchitecture('alexnet-owt', { classes: 10 }));
    expect(() => matchArchitecture(weights, 'vgg-16', 'm')).toThrow('got "vgg-16"');
    const foreign: StateDict = new Map([
      ['conv1.weight', { shape: [64, 3, 7, 7], data: new Float32Array(1) }],
    ]);
    expect(() => matchArchitecture(foreign, undefined, 'm')).toThrow('do not fit alexnet-');
  });
});

describe('withInputSize', () => {
  it('lets adaptive pooling take other sizes, and nothing else', () => {
    const owt = createArchitecture('alexnet-owt', { classes: 10 });
    expect(withInputSize(owt, { height: 256, width: 320 }, shapesOf(owt), 'm').input).toEqual({
      channels: 3,
      height: 256,
      width: 320,
    });
    const classic = createArchitecture('alexnet-2012', { classes: 10 });
    const resize = (side: number): unknown =>
      withInputSize(classic, { height: side, width: side }, shapesOf(classic), 'm');
    expect(() => resize(300)).toThrow('alexnet-2012 with a crop of 300×300: classifier.0.weight expected');
    expect(() => resize(8)).toThrow('does not fit into 8 pixels');
  });
});

describe('plainNames', () => {
  it('drops the prefix of DataParallel where every name has it', () => {
    const tensor = { shape: [1], data: new Float32Array(1) };
    expect([
      ...plainNames(
        new Map([
          ['module.a', tensor],
          ['module.b', tensor],
        ]),
      ).keys(),
    ]).toEqual(['a', 'b']);
    expect([
      ...plainNames(
        new Map([
          ['module.a', tensor],
          ['b', tensor],
        ]),
      ).keys(),
    ]).toEqual(['module.a', 'b']);
  });
});
