import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { recipeByName } from '../../../src/pipeline/recipe/recipes.ts';
import { createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import { encodeCheckpoint } from '../../../src/pipeline/model/checkpoint.ts';
import { initialiseWeights } from '../../../src/pipeline/model/init.ts';
import { startFromModel } from '../../../src/pipeline/model/start-from-model.ts';
import { writeSafetensors } from '../../../src/pipeline/model/weights/safetensors.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import { readReference } from '../engine/support.ts';

const small = (classes: number) => createArchitecture('alexnet-small', { classes });
const found = initialiseWeights(small(10), 1);
const HEAD = [...found.keys()].slice(-2);

const start = (
  bytes: Uint8Array,
  classes: number,
  random = initialiseWeights(small(classes), 2),
): StateDict => startFromModel(bytes, 'memory://m/model', small(classes), random);

/** Names in their order, shapes, and digests of the values: comparing millions of numbers one by one takes long. */
function digestsOf(weights: StateDict): unknown[] {
  return Array.from(weights, ([name, { shape, data }]) => [
    name,
    shape,
    sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

function refusal(start: () => unknown): string {
  try {
    start();
    return 'accepted';
  } catch (error) {
    return error instanceof ImagemillError ? `${error.code}: ${error.message}` : String(error);
  }
}

describe('startFromModel', () => {
  it('takes every weight where the classes are as many', () => {
    expect(digestsOf(start(writeSafetensors(found), 10))).toEqual(digestsOf(found));
  });

  it('keeps the random head where the classes are more or fewer', () => {
    for (const classes of [2, 11]) {
      const random = initialiseWeights(small(classes), 2);
      const weights = start(writeSafetensors(found), classes, random);
      const expected = new Map([...found, ...[...random].filter(([name]) => HEAD.includes(name))]);
      expect(digestsOf(weights)).toEqual(digestsOf(expected));
    }
  });

  it('takes the weights of a checkpoint, and nothing of how it moved', () => {
    const velocities = new Map(
      [...found].map(([name, { shape, data }]) => [name, { shape, data: data.map(() => 9) }]),
    );
    const recipe = recipeByName('alexnet-small');
    const { preprocessing, name } = small(10);
    const bytes = encodeCheckpoint(
      { weights: found, velocities },
      { epoch: 1, step: 2, seed: 3, recipe, datasetDigest: 'sha256:44' },
      { architecture: name, labels: Array.from({ length: 10 }, (_, id) => `c${id}`), preprocessing },
    );
    expect(digestsOf(start(bytes, 10))).toEqual(digestsOf(found));
  });

  it('takes the weights of a model that was trained in parallel', () => {
    const parallel = new Map([...found].map(([name, tensor]) => [`module.${name}`, tensor]));
    expect(digestsOf(start(writeSafetensors(parallel), 10))).toEqual(digestsOf(found));
  });

  it('ignores what the architecture does not have', () => {
    const more = new Map([...found, ['extra.weight', { shape: [1], data: Float32Array.of(1) }]]);
    expect(digestsOf(start(writeSafetensors(more), 10))).toEqual(digestsOf(found));
  });

  it('refuses another architecture, and names the first tensor that differs', () => {
    const owt = createArchitecture('alexnet-owt', { classes: 10 });
    expect(refusal(() => startFromModel(writeSafetensors(found), 'x', owt, new Map()))).toBe(
      'MODEL_SHAPE_MISMATCH: x: expected features.0.weight (64, 3, 11, 11) of alexnet-owt to start from, got (16, 3, 5, 5)',
    );
  });

  it('refuses a model without a head, or with a layer of another shape below it', () => {
    const headless = new Map([...found].filter(([name]) => !HEAD.includes(name)));
    expect(refusal(() => start(writeSafetensors(headless), 2))).toMatch(
      new RegExp(`^MODEL_SHAPE_MISMATCH: .*${HEAD[0]} .*, got none$`),
    );
    const [first = ''] = found.keys();
    const flat = new Map([...found, [first, { shape: [1_200], data: new Float32Array(1_200) }]]);
    expect(refusal(() => start(writeSafetensors(flat), 10))).toMatch(/got \(1200\)$/);
  });

  it('refuses an ONNX graph, and what is no model', () => {
    expect(refusal(() => start(readReference('onnx/nchw-dynamic-logits-17.onnx'), 2))).toBe(
      'MODEL_FORMAT_UNKNOWN: memory://m/model: expected weights as safetensors or PyTorch to start from, got onnx',
    );
    expect(refusal(() => start(readFileSync(import.meta.filename), 2))).toMatch(/^MODEL_/);
  });
});
