import { describe, expect, it } from 'vitest';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  modelOfCheckpoint,
  type CheckpointHeader,
} from '../../../src/pipeline/model/checkpoint.ts';
import { createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../../src/pipeline/model/init.ts';
import { METADATA_KEYS } from '../../../src/pipeline/model/model-metadata.ts';
import { readSafetensors } from '../../../src/pipeline/model/weights/safetensors.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { recipeByName } from '../../../src/pipeline/recipe/recipes.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import { TORCHVISION_PREPROCESSING } from '../../../src/contract/model-card.ts';

const architecture = createArchitecture('alexnet-small', { classes: 3 });
const weights = initialiseWeights(architecture, 1);
const velocities = new Map([...initialiseWeights(architecture, 2)].slice(0, 4));
const header: CheckpointHeader = {
  epoch: 2,
  step: 5,
  seed: 9,
  recipe: recipeByName('alexnet-small'),
  datasetDigest: 'sha256:da',
};
const facts = {
  architecture: 'alexnet-small' as const,
  labels: ['cat', 'dog', 'bird'],
  preprocessing: TORCHVISION_PREPROCESSING,
};
const file = encodeCheckpoint({ weights, velocities }, header, facts);

/** A digest in place of millions of values. */
const digestsOf = (tensors: StateDict): Record<string, string> =>
  Object.fromEntries(
    [...tensors].map(([name, { shape, data }]) => [
      name,
      `${shape.join('×')} ${sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))}`,
    ]),
  );

describe('a checkpoint', () => {
  it('gives back the state it was made of, to the bit', () => {
    const state = decodeCheckpoint(file, header, 'here');
    expect(digestsOf(state.weights)).toEqual(digestsOf(weights));
    expect(digestsOf(state.velocities)).toEqual(digestsOf(velocities));
  });

  it('is the same bytes for the same state, whatever the order of its tensors', () => {
    const reversed = { weights: new Map([...weights].toReversed()), velocities };
    expect(sha256(encodeCheckpoint(reversed, header, facts))).toBe(sha256(file));
    const later = encodeCheckpoint({ weights, velocities }, { ...header, step: 6 }, facts);
    expect(sha256(later)).not.toBe(sha256(file));
  });

  it('does not share memory with the state', () => {
    const data = Float32Array.of(1, 2, 3);
    const early = encodeCheckpoint(
      { weights: new Map([['w', { shape: [3], data }]]), velocities },
      header,
      facts,
    );
    const before = sha256(early);
    data.fill(7);
    expect(sha256(early)).toBe(before);
  });

  it.each<[string, Partial<CheckpointHeader>]>([
    ['epoch 3, got 2', { epoch: 3 }],
    ['step 4, got 5', { step: 4 }],
    ['seed 1, got 9', { seed: 1 }],
    ['datasetDigest sha256:other, got sha256:da', { datasetDigest: 'sha256:other' }],
  ])('belongs to one place of one run: expected %s', (message, changes) => {
    expect(() => decodeCheckpoint(file, { ...header, ...changes }, 'here')).toThrow(
      `here: expected ${message}`,
    );
  });

  it('belongs to one recipe', () => {
    const recipe = { ...header.recipe, momentum: 0.5 };
    expect(() => decodeCheckpoint(file, { ...header, recipe }, 'here')).toThrow(
      /^here: expected recipeDigest sha256:\w{64}, got sha256:\w{64}$/,
    );
  });

  it('is told from a model, and from what is no safetensors', () => {
    const model = modelOfCheckpoint(file, 'here');
    expect(() => decodeCheckpoint(model, header, 'here')).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_INVALID' }),
    );
    expect(() => decodeCheckpoint(file.slice(0, 100), header, 'here')).toThrow(
      expect.objectContaining({ code: 'MODEL_CORRUPT' }),
    );
  });
});

describe('modelOfCheckpoint', () => {
  it('has the weights and what they are for, and nothing of the training', () => {
    const { tensors, metadata } = readSafetensors(modelOfCheckpoint(file, 'here'), 'model');
    expect(digestsOf(tensors)).toEqual(digestsOf(weights));
    expect(JSON.parse(metadata[METADATA_KEYS.labels] ?? '')).toEqual(facts.labels);
    expect(Object.keys(metadata).some((key) => key.includes('checkpoint'))).toBe(false);
  });
});
