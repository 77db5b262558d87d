/** What a recipe says about the network, its pixels and its parameters. */
import type { Dataset } from '../../contract/dataset.ts';
import { TORCHVISION_PREPROCESSING, type Preprocessing } from '../../contract/model-card.ts';
import type { Augmentation, Recipe } from '../../contract/recipe.ts';
import { parametersOf, unreachable, type Architecture, type Layer } from '../model/architecture.ts';
import { createArchitecture } from '../model/architectures.ts';

/** The recipe's architecture with its activation, and its `dropout` in every dropout layer (0 keeps the layer). */
export function architectureOf(
  recipe: Pick<Recipe, 'architecture' | 'activation' | 'dropout'>,
  classes: number,
): Architecture {
  const architecture = createArchitecture(recipe.architecture, { classes, activation: recipe.activation });
  const withDropout = (layer: Layer): Layer =>
    layer.kind === 'dropout' ? { ...layer, probability: recipe.dropout } : layer;
  return {
    ...architecture,
    blocks: architecture.blocks.map((block) => ({ ...block, layers: block.layers.map(withDropout) })),
  };
}

/**
 * How pixels become the input of a network trained with this recipe: part of the model, and what training itself
 * normalises with, so that both compute the same `(pixel × scale − mean) / std`.
 * @param dataset with the mean pixel of its training images, RGB 0..255
 */
export function preprocessingOf(
  recipe: Pick<Recipe, 'architecture' | 'normalisation' | 'augmentation'>,
  dataset: Pick<Dataset, 'meanPixel'>,
): Preprocessing {
  const { input, preprocessing } = createArchitecture(recipe.architecture, { classes: 1 });
  const placed: Preprocessing = {
    ...preprocessing,
    resize: { kind: 'short-side', size: evaluationSize(recipe.augmentation.crop, input.height) },
    crop: { height: input.height, width: input.width },
  };
  if (recipe.normalisation === 'fixed') return placed;
  return { ...placed, scale: 1, mean: [...dataset.meanPixel], std: [1, 1, 1] };
}

/** Short side at evaluation. For `random-resized-crop` torchvision's ratio: 256 for 224. */
function evaluationSize(crop: Augmentation['crop'], inputSize: number): number {
  switch (crop.kind) {
    case 'random-crop':
    case 'center-crop':
      return crop.resizeTo;
    case 'random-resized-crop': {
      const { resize, crop: usual } = TORCHVISION_PREPROCESSING;
      return resize.kind === 'short-side' ? Math.round((inputSize * resize.size) / usual.height) : inputSize;
    }
    default:
      return unreachable(crop);
  }
}

/** How the optimizer treats one parameter. */
export interface ParameterGroup {
  readonly name: string;
  /** Times the learning rate of the step. */
  readonly learningRateFactor: number;
  /** Absolute: the recipe's weight decay times the group's factor. */
  readonly weightDecay: number;
  /** false: the parameter is frozen. */
  readonly trained: boolean;
}

/** One entry per parameter, in the order of `parametersOf`. */
export function parameterGroups(
  recipe: Pick<Recipe, 'weights' | 'biases' | 'weightDecay' | 'freeze'>,
  architecture: Architecture,
): ParameterGroup[] {
  return parametersOf(architecture).map(({ name, init }) => {
    const factors = init.role === 'weight' ? recipe.weights : recipe.biases;
    return {
      name,
      learningRateFactor: factors.learningRate,
      weightDecay: recipe.weightDecay * factors.weightDecay,
      trained: !recipe.freeze.some((prefix) => coversParameter(prefix, name)),
    };
  });
}

/** Whether an entry of `freeze` covers a parameter: its name, or whole parts of it (`features`, `features.0`). */
export function coversParameter(prefix: string, name: string): boolean {
  return name === prefix || name.startsWith(`${prefix}.`);
}
