import { describe, expect, it } from 'vitest';
import { TORCHVISION_PREPROCESSING } from '../../../src/contract/model-card.ts';
import type { Recipe } from '../../../src/contract/recipe.ts';
import { parametersOf, type Architecture } from '../../../src/pipeline/model/architecture.ts';
import { ARCHITECTURE_NAMES, createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import {
  architectureOf,
  parameterGroups,
  preprocessingOf,
} from '../../../src/pipeline/recipe/architecture-of.ts';
import { RECIPES } from '../../../src/pipeline/recipe/recipes.ts';

const meanPixel: [number, number, number] = [10.1, 120.7, 200.3];

function dropouts({ blocks }: Architecture): number[] {
  return blocks
    .flatMap(({ layers }) => layers)
    .flatMap((layer) => (layer.kind === 'dropout' ? [layer.probability] : []));
}

describe('architectureOf', () => {
  it.each(ARCHITECTURE_NAMES)('%s: both dropout layers take the recipe’s, nothing else changes', (name) => {
    expect(dropouts(architectureOf({ ...RECIPES[name], dropout: 0.3 }, 10))).toEqual([0.3, 0.3]);
    expect(architectureOf({ ...RECIPES[name], dropout: 0.5 }, 10)).toEqual(
      createArchitecture(name, { classes: 10 }),
    );
  });

  it('keeps dropout layers of probability 0, so that parameters keep their names', () => {
    const off = architectureOf({ ...RECIPES['alexnet-owt'], dropout: 0 }, 7);
    expect(dropouts(off)).toEqual([0, 0]);
    expect(parametersOf(off)).toEqual(parametersOf(createArchitecture('alexnet-owt', { classes: 7 })));
  });

  it('follows the activation', () => {
    const tanh = architectureOf({ ...RECIPES['alexnet-small'], activation: 'tanh' }, 10);
    expect(tanh.name).toBe('alexnet-small+tanh');
    expect(JSON.stringify(tanh)).not.toContain('relu');
  });
});

describe('preprocessingOf', () => {
  it("subtracts the dataset's mean pixel from 0..255 where the recipe says so", () => {
    const made = preprocessingOf(RECIPES['alexnet-2012'], { meanPixel });
    expect(made).toEqual({
      resize: { kind: 'short-side', size: 256 },
      crop: { height: 227, width: 227 },
      interpolation: 'bilinear',
      channelOrder: 'rgb',
      scale: 1,
      mean: [10.1, 120.7, 200.3],
      std: [1, 1, 1],
    });
    expect(made.mean).not.toBe(meanPixel);
  });

  it("is torchvision's for torchvision's recipe", () => {
    expect(preprocessingOf(RECIPES['alexnet-owt'], { meanPixel })).toEqual(TORCHVISION_PREPROCESSING);
  });

  it('ignores the dataset where normalisation is fixed', () => {
    const small = createArchitecture('alexnet-small', { classes: 10 }).preprocessing;
    const { scale, mean, std, crop, resize } = preprocessingOf(RECIPES['alexnet-small'], { meanPixel });
    expect({ scale, mean, std, crop }).toEqual({
      scale: small.scale,
      mean: small.mean,
      std: small.std,
      crop: { height: 64, width: 64 },
    });
    expect(resize).toEqual({ kind: 'short-side', size: 72 });
  });

  it.each([
    [{ kind: 'random-crop', resizeTo: 300 }, 300],
    [{ kind: 'center-crop', resizeTo: 64 }, 64],
    [{ kind: 'random-resized-crop', area: [0.5, 1], aspectRatio: [1, 1] }, 73],
  ] satisfies [Recipe['augmentation']['crop'], number][])('resizes for %j to %d', (crop, size) => {
    const recipe = RECIPES['alexnet-small'];
    const augmentation = { ...recipe.augmentation, crop };
    expect(preprocessingOf({ ...recipe, augmentation }, { meanPixel }).resize).toEqual({
      kind: 'short-side',
      size,
    });
  });
});

describe('parameterGroups', () => {
  it('doubles the rate of biases and leaves out their decay where the recipe says so', () => {
    const recipe = RECIPES['alexnet-2012'];
    const architecture = architectureOf(recipe, 10);
    const groups = parameterGroups(recipe, architecture);
    expect(groups.map(({ name }) => name)).toEqual(parametersOf(architecture).map(({ name }) => name));
    expect(groups).toHaveLength(16);
    for (const { name, ...group } of groups) {
      expect(group).toEqual(
        name.endsWith('.weight')
          ? { learningRateFactor: 1, weightDecay: 0.0005, trained: true }
          : { learningRateFactor: 2, weightDecay: 0, trained: true },
      );
    }
  });

  it('multiplies the decay', () => {
    const recipe = { ...RECIPES['alexnet-owt'], biases: { learningRate: 0.5, weightDecay: 3 } };
    const bias = parameterGroups(recipe, architectureOf(recipe, 10))[1];
    expect(bias).toEqual({
      name: 'features.0.bias',
      learningRateFactor: 0.5,
      weightDecay: 0.0001 * 3,
      trained: true,
    });
  });

  it('freezes whole parts of names only', () => {
    const frozen = (freeze: string[]): string[] => {
      const recipe = { ...RECIPES['alexnet-small'], freeze };
      return parameterGroups(recipe, architectureOf(recipe, 10))
        .filter(({ trained }) => !trained)
        .map(({ name }) => name);
    };
    expect(frozen([])).toEqual([]);
    expect(frozen(['features'])).toHaveLength(10);
    // features.10 begins with features.1 but is another layer.
    expect(frozen(['features.1'])).toEqual([]);
    expect(frozen(['features.10'])).toEqual(['features.10.weight', 'features.10.bias']);
    expect(frozen(['classifier.6.bias', 'features.0'])).toEqual([
      'features.0.weight',
      'features.0.bias',
      'classifier.6.bias',
    ]);
  });
});
