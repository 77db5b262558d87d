/** What the training references are made of: networks, hyperparameters and inputs, all of them recipes. */
import type { Recipe } from '../../../src/contract/recipe.ts';
import type { Architecture, ConvLayer, Init, Layer } from '../../../src/pipeline/model/architecture.ts';
import { initialiseWeights } from '../../../src/pipeline/model/init.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import {
  architectureOf,
  parameterGroups,
  preprocessingOf,
} from '../../../src/pipeline/recipe/architecture-of.ts';
import { RECIPES } from '../../../src/pipeline/recipe/recipes.ts';
import type { BatchColour, MicroBatch, TrainerSpec } from '../../../src/pipeline/engine/trainer.ts';

export const STEPS = 10;
export const EPOCH = 3;
/** Batches that a step has to choose from: see make-reference.py. */
export const VARIANTS = 256;
/** With the rate the references were made with: tuning the recipe must not ask for new ones. */
const SMALL: Recipe = {
  ...RECIPES['alexnet-small'],
  learningRate: 0.03,
  batchSize: 128,
  microBatchSize: 128,
};
/** What `preprocessingOf` subtracts where the recipe asks for the dataset's mean. */
const MEAN_PIXEL: [number, number, number] = [124, 117, 104];

export interface TrainingCase {
  readonly name: string;
  readonly spec: TrainerSpec;
  readonly learningRate: number;
}

interface CaseOptions {
  readonly batchSize: number;
  readonly microBatchSize?: number;
  readonly classes?: number;
  readonly architecture?: Architecture;
  readonly colour?: boolean;
  readonly recipe?: Partial<Recipe>;
}

function caseOf(name: string, base: Recipe, options: CaseOptions): TrainingCase {
  const recipe: Recipe = { ...base, ...options.recipe };
  const { batchSize } = options;
  const architecture = options.architecture ?? architectureOf(recipe, options.classes ?? 10);
  const spec: TrainerSpec = {
    architecture,
    preprocessing: preprocessingOf(recipe, { meanPixel: MEAN_PIXEL }),
    parameters: new Map(parameterGroups(recipe, architecture).map((group) => [group.name, group])),
    sgd: { momentum: recipe.momentum, nesterov: recipe.nesterov },
    labelSmoothing: recipe.labelSmoothing,
    colour: options.colour ?? false,
    batchSize,
    microBatchSize: options.microBatchSize ?? batchSize,
    seed: 1,
  };
  // In proportion to the batch (Goyal et al. 2017, arXiv 1706.02677): a few images at the full rate diverge.
  return { name, spec, learningRate: (recipe.learningRate * batchSize) / recipe.batchSize };
}

const INIT: Init = { weight: { kind: 'he-normal' }, bias: { kind: 'uniform-fan-in' } };
const RELU: Layer = { kind: 'relu' };
const POOL: Layer = { kind: 'maxPool', kernel: 3, stride: 2 };

const conv = (out: number, kernel: number, stride: number, pad: number, groups: number): ConvLayer => ({
  kind: 'conv',
  out,
  kernel,
  stride,
  pad,
  groups,
  init: INIT,
});

/**
 * Sizes that no stride divides, in both directions differently; a stride and groups away from the input; an even
 * kernel; averaging windows of unequal sizes; dropout before `flatten`; fewer classes than five.
 */
const ODD_SIZES: Architecture = {
  name: 'odd-sizes',
  classes: 4,
  input: { channels: 3, height: 61, width: 53 },
  preprocessing: preprocessingOf(SMALL, { meanPixel: MEAN_PIXEL }),
  blocks: [
    {
      name: 'features',
      layers: [
        [conv(16, 5, 3, 1, 1), RELU, { kind: 'lrn', size: 3, alpha: 0.5, beta: 0.6, k: 1 } as const, POOL],
        [conv(64, 3, 2, 0, 2), RELU],
        [conv(32, 4, 1, 2, 2), { kind: 'tanh' } as const, { kind: 'dropout', probability: 0.3 } as const],
        [{ kind: 'adaptiveAvgPool', out: 3 } as const, { kind: 'flatten' } as const],
      ].flat(),
    },
    {
      name: 'classifier',
      layers: [
        { kind: 'linear', out: 24, init: INIT },
        RELU,
        { kind: 'dropout', probability: 0.25 },
        { kind: 'linear', out: 4, init: INIT },
      ],
    },
  ],
};

/** Recipes as they are, but for batches of a few images; then, on the small net, what they can be set to. */
export const TRAINING_CASES: readonly TrainingCase[] = [
  // One image: with twice as many ReLUs before a normalisation, hardly any batch is stable for all of ten steps.
  caseOf('alexnet-2012', RECIPES['alexnet-2012'], { batchSize: 1 }),
  caseOf('alexnet-caffe', RECIPES['alexnet-caffe'], { batchSize: 2 }),
  caseOf('alexnet-owt', RECIPES['alexnet-owt'], { batchSize: 2 }),
  caseOf('alexnet-small', SMALL, { batchSize: 4 }),
  caseOf('tanh', SMALL, { batchSize: 4, recipe: { activation: 'tanh' } }),
  caseOf('nesterov-label-smoothing', SMALL, {
    batchSize: 4,
    recipe: { nesterov: true, labelSmoothing: 0.1 },
  }),
  caseOf('frozen-features', SMALL, {
    batchSize: 4,
    recipe: { freeze: ['features'] },
  }),
  caseOf('colour', SMALL, { batchSize: 4, colour: true }),
  caseOf('micro-batches', SMALL, { batchSize: 6, microBatchSize: 2 }),
  caseOf('odd-sizes', SMALL, { batchSize: 3, architecture: ODD_SIZES }),
];

/** @throws RangeError unknown name */
export function trainingCase(name: string): TrainingCase {
  const found = TRAINING_CASES.find((candidate) => candidate.name === name);
  if (found === undefined) throw new RangeError(`expected a training case, got ${name}`);
  return found;
}

export function initialWeights({ spec }: TrainingCase): StateDict {
  return initialiseWeights(spec.architecture, spec.seed);
}

/** The finaliser of MurmurHash3 (Appleby), in [0, 1): neighbours have nothing in common. */
function hash(index: number): number {
  let word = index + 1;
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return ((word ^ (word >>> 16)) >>> 0) / 2 ** 32;
}

/** A whole batch: noise, other noise for every step and variant, and one class after the other. */
export function batchOf({ spec }: TrainingCase, step: number, variant: number): MicroBatch {
  const { batchSize, colour, architecture } = spec;
  const { height, width } = architecture.input;
  const size = batchSize * height * width * 3;
  const first = (variant * STEPS + step) * size;
  return {
    images: Uint8Array.from({ length: size }, (_, index) => Math.floor(256 * hash(first + index))),
    labels: Int32Array.from(
      { length: batchSize },
      (_, item) => (3 * step + 7 * item + 2) % architecture.classes,
    ),
    colour: colour ? colourOf(batchSize, step) : null,
    mirrored: null,
  };
}

/** Rows `first` to `end` of a batch. */
export function partOf(
  { images, labels, colour, mirrored }: MicroBatch,
  first: number,
  end: number,
): MicroBatch {
  const itemSize = images.length / labels.length;
  const rows = <T extends Uint8Array | Float32Array>(values: T, size: number): T =>
    values.slice(first * size, end * size) as T;
  return {
    images: rows(images, itemSize),
    labels: labels.slice(first, end),
    colour: colour && {
      matrices: rows(colour.matrices, 9),
      greyShifts: rows(colour.greyShifts, 1),
      shifts: rows(colour.shifts, 3),
    },
    mirrored: mirrored && rows(mirrored, 1),
  };
}

function colourOf(rows: number, step: number): BatchColour {
  const around = (centre: number, width: number, index: number): number =>
    centre + width * (hash(1_000 * step + index) - 0.5);
  return {
    matrices: Float32Array.from({ length: rows * 9 }, (_, index) =>
      around(index % 9 === 0 || index % 9 === 4 || index % 9 === 8 ? 0.9 : 0.05, 0.3, index),
    ),
    greyShifts: Float32Array.from({ length: rows }, (_, index) => around(0.1, 0.3, 500 + index)),
    shifts: Float32Array.from({ length: rows * 3 }, (_, index) => around(0, 40, 700 + index)),
  };
}
