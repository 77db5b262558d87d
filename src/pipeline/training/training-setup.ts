import { ImagemillError } from '../../contract/errors.ts';
import type { Preprocessing } from '../../contract/model-card.ts';
import type { TrainRun } from '../../contract/run.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import { stepsPerEpoch } from '../augment/shuffle.ts';
import { openDataset, type OpenedDataset } from '../dataset/open-dataset.ts';
import { readSplit, type SplitItems, type SplitOptions } from '../dataset/read-split.ts';
import type { TrainerSpec } from '../engine/trainer.ts';
import type { ModelFacts } from '../model/checkpoint.ts';
import { architectureOf, parameterGroups, preprocessingOf } from '../recipe/architecture-of.ts';

/** A training run with its data at hand; the same for every epoch. */
export interface TrainingSetup {
  readonly run: TrainRun;
  readonly dataset: OpenedDataset['dataset'];
  readonly train: SplitItems;
  /** Empty where the dataset has no validation split. */
  readonly validation: SplitItems;
  readonly preprocessing: Preprocessing;
  readonly trainer: TrainerSpec;
  readonly facts: ModelFacts;
  readonly stepsPerEpoch: number;
}

/**
 * Opens a run's dataset and works out what its recipe means for it.
 * @throws ImagemillError DATASET_NOT_FOUND, DATASET_CHANGED, CONTRACT_*, STORE_*
 */
export async function setUpTraining(
  run: TrainRun,
  resolver: StoreResolver,
  signal: AbortSignal,
  options: SplitOptions = {},
): Promise<TrainingSetup> {
  const { recipe, seed } = run.spec;
  const opened = await openDataset(resolver, run.spec.dataset.uri);
  const { dataset } = opened;
  if (dataset.digest !== run.spec.dataset.digest) {
    throw new ImagemillError(
      'DATASET_CHANGED',
      `${opened.uri}: expected the dataset ${run.spec.dataset.digest} that the run was submitted with, got ${dataset.digest}`,
    );
  }
  const [train, validation] = await Promise.all([
    readSplit(opened, 'train', signal, options),
    readSplit(opened, 'val', signal, options),
  ]);
  const architecture = architectureOf(recipe, dataset.classes.length);
  const preprocessing = preprocessingOf(recipe, dataset);
  const { pcaNoise, brightness, contrast, saturation } = recipe.augmentation;
  return {
    run,
    dataset,
    train,
    validation,
    preprocessing,
    trainer: {
      architecture,
      preprocessing,
      parameters: new Map(parameterGroups(recipe, architecture).map((group) => [group.name, group])),
      sgd: { momentum: recipe.momentum, nesterov: recipe.nesterov },
      labelSmoothing: recipe.labelSmoothing,
      colour: pcaNoise > 0 || brightness > 0 || contrast > 0 || saturation > 0,
      batchSize: recipe.batchSize,
      microBatchSize: recipe.microBatchSize,
      seed,
    },
    facts: { architecture: architecture.name, labels: dataset.classes, preprocessing },
    stepsPerEpoch: stepsPerEpoch(train.count, recipe.batchSize),
  };
}
