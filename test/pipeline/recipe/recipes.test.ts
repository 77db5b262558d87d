import { describe, expect, it } from 'vitest';
import { recipeSchema } from '../../../src/contract/recipe.ts';
import { ARCHITECTURE_NAMES } from '../../../src/pipeline/model/architectures.ts';
import { checkRecipe } from '../../../src/pipeline/recipe/check-recipe.ts';
import { describeRecipes, recipeByName, RECIPES } from '../../../src/pipeline/recipe/recipes.ts';

/** Images of ILSVRC 2012's training set. */
const IMAGENET_IMAGES = 1_281_167;

describe('RECIPES', () => {
  it.each(ARCHITECTURE_NAMES)('%s is valid, complete and named after its architecture', (name) => {
    const recipe = RECIPES[name];
    expect(recipeSchema.strict().parse(recipe)).toEqual(recipe);
    expect(() => checkRecipe(recipe)).not.toThrow();
    expect(recipe).toMatchObject({ name, architecture: name, activation: 'relu', freeze: [] });
    expect(recipe.microBatchSize).toBe(name === 'alexnet-small' ? recipe.batchSize : 64);
  });

  it('alexnet-2012 has the values of the paper', () => {
    expect(RECIPES['alexnet-2012']).toMatchObject({
      batchSize: 128,
      learningRate: 0.01,
      momentum: 0.9,
      weightDecay: 0.0005,
      dropout: 0.5,
      epochs: 90,
      normalisation: 'mean-pixel',
      schedule: { kind: 'plateau', factor: 0.1, drops: 3 },
      biases: { learningRate: 2, weightDecay: 0 },
      augmentation: {
        crop: { kind: 'random-crop', resizeTo: 256 },
        horizontalFlip: 0.5,
        pcaNoise: 0.1,
        rotationDegrees: 0,
      },
    });
  });

  it("alexnet-caffe turns Caffe's iterations into epochs", () => {
    const recipe = RECIPES['alexnet-caffe'];
    const epochsOf = (iterations: number): number => (iterations * recipe.batchSize) / IMAGENET_IMAGES;
    expect(recipe.batchSize).toBe(256);
    expect(recipe.epochs).toBe(Math.round(epochsOf(450_000)));
    expect(recipe.schedule).toEqual({ kind: 'steps', factor: 0.1, epochs: Math.round(epochsOf(100_000)) });
    expect(recipe).toMatchObject({
      biases: { learningRate: 2, weightDecay: 0 },
      augmentation: { pcaNoise: 0 },
    });
  });

  it("alexnet-owt has torchvision's values", () => {
    expect(RECIPES['alexnet-owt']).toMatchObject({
      batchSize: 32 * 8,
      learningRate: 0.01,
      momentum: 0.9,
      weightDecay: 0.0001,
      biases: { learningRate: 1, weightDecay: 1 },
      epochs: 90,
      schedule: { kind: 'steps', factor: 0.1, epochs: 30 },
      normalisation: 'fixed',
      augmentation: { crop: { kind: 'random-resized-crop', area: [0.08, 1], aspectRatio: [0.75, 4 / 3] } },
    });
  });
});

describe('recipeByName', () => {
  it('finds a recipe, and says which there are', () => {
    expect(recipeByName('alexnet-owt')).toBe(RECIPES['alexnet-owt']);
    expect(() => recipeByName('alexnet-smal')).toThrow(
      expect.objectContaining({
        code: 'RECIPE_INVALID',
        message:
          'expected a recipe (alexnet-2012, alexnet-caffe, alexnet-owt, alexnet-small), got "alexnet-smal"; ' +
          'did you mean alexnet-small?',
      }),
    );
    expect(() => recipeByName('toString')).toThrow(/got "toString"$/);
  });
});

describe('describeRecipes', () => {
  it('gives one line per recipe with its source', () => {
    const lines = describeRecipes();
    expect(lines).toHaveLength(ARCHITECTURE_NAMES.length);
    expect(lines[1]).toBe(
      'alexnet-caffe  BVLC Caffe: models/bvlc_alexnet/solver.prototxt and train_val.prototxt (Shelhamer)',
    );
    lines.forEach((line) => expect(line).not.toContain('\n'));
  });
});
