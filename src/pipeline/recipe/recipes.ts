/** The recipes that imagemill knows by name: values and where they come from. */
import { ImagemillError } from '../../contract/errors.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { ARCHITECTURE_NAMES, type ArchitectureName } from '../model/architectures.ts';
import { nearestName } from './nearest-name.ts';

/** Defaults of torchvision's RandomResizedCrop, after Szegedy et al. 2014 (arXiv 1409.4842), section 6. */
export const RANDOM_RESIZED_CROP = {
  area: [0.08, 1],
  aspectRatio: [3 / 4, 4 / 3],
} satisfies { area: [number, number]; aspectRatio: [number, number] };

/** Biases learn twice as fast as weights and do not decay: cuda-convnet's habit, which Caffe took over. */
const FAST_BIASES = {
  weights: { learningRate: 1, weightDecay: 1 },
  biases: { learningRate: 2, weightDecay: 0 },
} satisfies Pick<Recipe, 'weights' | 'biases'>;

const NO_COLOUR_CHANGE = { pcaNoise: 0, brightness: 0, contrast: 0, saturation: 0 };

/** What every source below has in common, or leaves out. */
const PLAIN_SGD = {
  activation: 'relu',
  dropout: 0.5,
  momentum: 0.9,
  nesterov: false,
  labelSmoothing: 0,
  warmupEpochs: 0,
  earlyStopping: 0,
  freeze: [],
} satisfies Partial<Recipe>;

/**
 * The published run: 0.01 → 0.001 in epoch 23, → 0.0001 in epoch 51, → 0.00001 in epoch 78, ended in epoch 93,
 * by hand. How long to wait before a drop is not written anywhere: the patience is ours. Where they subtracted a mean
 * image and ended without colour noise, this subtracts the mean pixel and keeps the noise.
 */
const ALEXNET_2012: Recipe = {
  ...PLAIN_SGD,
  ...FAST_BIASES,
  name: 'alexnet-2012',
  source:
    'Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012, ' +
    'sections 3 to 5; biases as in layers/layer-params-145-2010.cfg and src/layer.cu ' +
    'of github.com/computerhistory/AlexNet-Source-Code',
  architecture: 'alexnet-2012',
  normalisation: 'mean-pixel',
  epochs: 90,
  batchSize: 128,
  microBatchSize: 64,
  learningRate: 0.01,
  weightDecay: 0.0005,
  schedule: { kind: 'plateau', factor: 0.1, patience: 5, drops: 3 },
  augmentation: {
    ...NO_COLOUR_CHANGE,
    crop: { kind: 'random-crop', resizeTo: 256 },
    horizontalFlip: 0.5,
    rotationDegrees: 0,
    pcaNoise: 0.1,
  },
};

/**
 * Caffe counts iterations of 256 images: a step of 100,000 is 20.0 and the limit of 450,000 is 89.9 passes over
 * ImageNet's 1,281,167. Where they stretched to 256×256 and subtracted a mean image, this scales the short side and
 * subtracts the mean pixel.
 */
const ALEXNET_CAFFE: Recipe = {
  ...PLAIN_SGD,
  ...FAST_BIASES,
  name: 'alexnet-caffe',
  source: 'BVLC Caffe: models/bvlc_alexnet/solver.prototxt and train_val.prototxt (Shelhamer)',
  architecture: 'alexnet-caffe',
  normalisation: 'mean-pixel',
  epochs: 90,
  batchSize: 256,
  microBatchSize: 64,
  learningRate: 0.01,
  weightDecay: 0.0005,
  schedule: { kind: 'steps', factor: 0.1, epochs: 20 },
  augmentation: {
    ...NO_COLOUR_CHANGE,
    crop: { kind: 'random-crop', resizeTo: 256 },
    horizontalFlip: 0.5,
    rotationDegrees: 0,
  },
};

/** 32 images on each of 8 GPUs. One learning rate and one weight decay for every parameter, biases included. */
const ALEXNET_OWT: Recipe = {
  ...PLAIN_SGD,
  name: 'alexnet-owt',
  source:
    'torchvision: references/classification/README.md ("AlexNet and VGG"), train.py and presets.py; ' +
    'network after Krizhevsky: One weird trick for parallelizing convolutional neural networks, arXiv 1404.5997',
  architecture: 'alexnet-owt',
  normalisation: 'fixed',
  epochs: 90,
  batchSize: 256,
  microBatchSize: 64,
  learningRate: 0.01,
  weightDecay: 0.0001,
  weights: { learningRate: 1, weightDecay: 1 },
  biases: { learningRate: 1, weightDecay: 1 },
  schedule: { kind: 'steps', factor: 0.1, epochs: 30 },
  augmentation: {
    ...NO_COLOUR_CHANGE,
    crop: { kind: 'random-resized-crop', ...RANDOM_RESIZED_CROP },
    horizontalFlip: 0.5,
    rotationDegrees: 0,
  },
};

/** A crop of 64 out of 72 moves a digit of 28 pixels by up to 1.75 of its own to either side. */
const ALEXNET_SMALL: Recipe = {
  ...PLAIN_SGD,
  name: 'alexnet-small',
  source:
    'imagemill, for small images and two cores; warm-up after Goyal et al., arXiv 1706.02677, ' +
    'cosine after Loshchilov & Hutter, arXiv 1608.03983',
  architecture: 'alexnet-small',
  dropout: 0.2,
  normalisation: 'fixed',
  epochs: 3,
  batchSize: 64,
  microBatchSize: 64,
  learningRate: 0.02,
  weightDecay: 0.0005,
  weights: { learningRate: 1, weightDecay: 1 },
  biases: { learningRate: 1, weightDecay: 0 },
  warmupEpochs: 0.2,
  schedule: { kind: 'cosine', final: 0 },
  augmentation: {
    ...NO_COLOUR_CHANGE,
    crop: { kind: 'random-crop', resizeTo: 72 },
    horizontalFlip: 0,
    rotationDegrees: 0,
  },
};

/** By name; every architecture has a recipe of its own name. */
export const RECIPES: Readonly<Record<ArchitectureName, Recipe>> = {
  'alexnet-2012': ALEXNET_2012,
  'alexnet-caffe': ALEXNET_CAFFE,
  'alexnet-owt': ALEXNET_OWT,
  'alexnet-small': ALEXNET_SMALL,
};

/**
 * The recipe of this name.
 * @throws ImagemillError RECIPE_INVALID with the names there are
 */
export function recipeByName(name: string): Recipe {
  const known = ARCHITECTURE_NAMES.find((candidate) => candidate === name);
  if (known !== undefined) return RECIPES[known];
  const near = nearestName(name, ARCHITECTURE_NAMES);
  throw new ImagemillError(
    'RECIPE_INVALID',
    `expected a recipe (${ARCHITECTURE_NAMES.join(', ')}), got "${name}"` +
      (near === undefined ? '' : `; did you mean ${near}?`),
  );
}

/** One line per recipe: its name and its source. */
export function describeRecipes(): string[] {
  const recipes = Object.values(RECIPES);
  const width = Math.max(...recipes.map(({ name }) => name.length));
  return recipes.map(({ name, source }) => `${name.padEnd(width)}  ${source}`);
}
