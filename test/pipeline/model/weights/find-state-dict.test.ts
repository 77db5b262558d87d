import { describe, expect, it } from 'vitest';
import { readPyTorch } from '../../../../src/pipeline/model/weights/pytorch.ts';
import type { StateDict } from '../../../../src/pipeline/model/weights/state-dict.ts';
import { archive, dict, EMPTY_DICT, expectRefusal, float32, int, NONE, tensor, text } from './support.ts';

const four = float32(1, 2, 3, 4);
const names = (tensors: StateDict): string[] => [...tensors.keys()];

describe('findStateDict', () => {
  const read = (object: Uint8Array): StateDict => readPyTorch(archive(object, { 0: four }), 'model.pth');

  it.each(['state_dict', 'model_state_dict', 'model', 'module'])('looks at the key %s', (key) => {
    const object = dict(text('rng'), tensor(), text(key), dict(text('w'), tensor()));
    expect(names(read(object))).toEqual(['w']);
  });

  it('looks into a checkpoint within a checkpoint', () => {
    expect(names(read(dict(text('model'), dict(text('state_dict'), dict(text('w'), tensor())))))).toEqual([
      'w',
    ]);
  });

  it('takes a tensor named model for a tensor', () => {
    expect(names(read(dict(text('model'), tensor(), text('w'), tensor())))).toEqual(['model', 'w']);
  });

  it.each<[string[], string[]]>([
    [
      ['module.a', 'module.b'],
      ['a', 'b'],
    ],
    [
      ['model.module.a', 'model.module.b'],
      ['a', 'b'],
    ],
    [
      ['module.a', 'b'],
      ['module.a', 'b'],
    ],
    [['module.'], ['module.']],
    [['model.model'], ['model']],
  ])('of the names %j makes %j', (before, after) => {
    expect(names(read(dict(...before.flatMap((name) => [text(name), tensor()]))))).toEqual(after);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['a number', int(3), /expected a state dict, got a int$/],
    ['a tensor', tensor(), /got a Tensor$/],
    ['an empty dict', EMPTY_DICT, /got an empty dict$/],
    [
      'a dict without tensors',
      dict(text('epoch'), int(1), text('optimizer'), dict(text('momentum'), tensor())),
      /got a dict without named tensors, with keys "epoch", "optimizer"$/,
    ],
    [
      'many keys',
      dict(...Array.from({ length: 12 }, (_, i) => [int(i), NONE]).flat()),
      /with keys 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more$/,
    ],
  ])('refuses %s', (_, object, message) => {
    expectRefusal(() => read(object), 'MODEL_CORRUPT', message);
  });
});
