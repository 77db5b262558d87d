import { ImagemillError } from '../contract/errors.ts';
import { planDocument } from '../contract/ledger.ts';
import { trainSpecSchema, type TrainSpec } from '../contract/run.ts';
import { stepsPerEpoch } from '../pipeline/augment/shuffle.ts';
import { classesWithout } from '../pipeline/dataset/dataset-facts.ts';
import { openDataset } from '../pipeline/dataset/open-dataset.ts';
import { parametersOf, type Architecture } from '../pipeline/model/architecture.ts';
import { startFromModel } from '../pipeline/model/start-from-model.ts';
import { architectureOf } from '../pipeline/recipe/architecture-of.ts';
import { recipeByName } from '../pipeline/recipe/recipes.ts';
import { applySettings } from '../pipeline/recipe/settings.ts';
import type { StateDict } from '../pipeline/model/weights/state-dict.ts';
import { sha256 } from '../storage/digest.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { createRun, parseSpec, type Submission, type SubmittedRun } from './create-run.ts';
import { readModelFile } from './read-model.ts';

export interface TrainRequest extends Submission {
  /** Location of a prepared dataset. */
  readonly dataset: string;
  readonly out: string;
  /** Name of the recipe, and what differs from it: `KEY=VALUE`. */
  readonly recipe: string;
  readonly settings: readonly string[];
  readonly seed: number;
  /** Model file to start from. */
  readonly init?: string | undefined;
  readonly checkpointSteps: number;
  readonly keepCheckpoints: number;
  /** Start another run, in a folder of its own below `out`, even where an equal one exists. */
  readonly fresh: boolean;
  /** The run gets a folder of its own below `out` in every case. */
  readonly nested?: boolean;
}

/**
 * Checks everything that can be wrong with a training run, then creates its ledger. Nothing is enqueued yet, and
 * nothing is written before every check has passed.
 * @throws ImagemillError DATASET_*, RECIPE_INVALID, MODEL_*, OUTPUT_*, STORE_*, CONTRACT_VERSION_UNKNOWN, USAGE
 */
export async function submitTrain(
  request: TrainRequest,
  resolver: StoreResolver,
  index: RunIndex,
  now = new Date(),
): Promise<SubmittedRun> {
  const recipe = applySettings(recipeByName(request.recipe), request.settings);
  const { dataset, uri } = await openDataset(resolver, request.dataset);
  const empty = classesWithout(dataset, 'train');
  if (dataset.classes.length < 2 || empty.length > 0) {
    throw new ImagemillError(
      'DATASET_CLASSES',
      `${uri}: expected two classes or more, each with training images, got ${dataset.classes.length}${empty.length === 0 ? '' : `, without images: ${empty.join(', ')}`}`,
    );
  }
  const { items } = dataset.splits.train;
  if (recipe.batchSize > items) {
    throw new ImagemillError(
      'DATASET_TOO_SMALL',
      `${uri}: expected at least a batch of ${recipe.batchSize} training images, got ${items}; use --batch-size`,
    );
  }
  const architecture = architectureOf(recipe, dataset.classes.length);
  const init =
    request.init === undefined
      ? undefined
      : await readInit(request.init, resolver, (bytes, where) =>
          startFromModel(bytes, where, architecture, weightless(architecture)),
        );
  const spec: TrainSpec = parseSpec(trainSpecSchema, {
    kind: 'train',
    dataset: { uri, digest: dataset.digest },
    recipe,
    seed: request.seed,
    ...(init === undefined ? {} : { init }),
    checkpointSteps: request.checkpointSteps,
    keepCheckpoints: request.keepCheckpoints,
  });
  const { fresh, nested = false, submittedBy, identity } = request;
  const submitted = await createRun(
    { spec, out: resolver.open(request.out), fresh, nested, submittedBy, identity },
    resolver,
    index,
    now,
  );
  const trained = stepsPerEpoch(items, recipe.batchSize) * recipe.batchSize;
  await submitted.ledger.createPlan({
    schema: planDocument.id,
    run: submitted.run.run,
    shards: recipe.epochs,
    items: trained * recipe.epochs,
  });
  return submitted;
}

/** Names and shapes are all that is compared: to draw 60 million weights and throw them away takes seconds. */
function weightless(architecture: Architecture): StateDict {
  const data = new Float32Array(0);
  return new Map(parametersOf(architecture).map(({ name, shape }) => [name, { shape, data }]));
}

async function readInit(
  uri: string,
  resolver: StoreResolver,
  check: (bytes: Uint8Array, where: string) => unknown,
): Promise<{ uri: string; digest: string }> {
  const { bytes, where } = await readModelFile(uri, resolver);
  check(bytes, where);
  return { uri: where, digest: sha256(bytes) };
}
