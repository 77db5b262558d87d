import { CHECKPOINT_STEPS_MAX, type SubmitRun } from '../../../contract/api/submit.ts';
import { SPLITS } from '../../../contract/dataset.ts';
import { SHARD_SIZE_MAX } from '../../../contract/ids.ts';
import { PRIORITY_DEFAULT, PRIORITY_MAX } from '../../../contract/queues.ts';
import { BATCH_SIZE_TRAINING_MAX, EPOCHS_MAX } from '../../../contract/recipe.ts';
import { PART_FORMATS } from '../../../contract/rows.ts';
import { BATCH_SIZE_MAX, SHORT_SIDE_MAX, TOP_K_MAX, VAL_FRACTION_MAX } from '../../../contract/run.ts';
import { ARCHITECTURE_NAMES } from '../../../pipeline/model/architectures.ts';

export type RunKind = SubmitRun['kind'];

interface Common {
  /** Name of the field, in the form and in the request. */
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  /** What the form shows at first. */
  readonly standard?: string;
  readonly isRequired?: boolean;
  /** Shown only when asked for. */
  readonly isSeldom?: boolean;
}

/** One field of a form. */
export type FormField = Common &
  (
    | { readonly type: 'text' | 'lines' | 'flag' | 'time' }
    | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
    | { readonly type: 'share'; readonly maximum: number }
    | { readonly type: 'choice'; readonly choices: readonly string[] }
    /** A choice whose values are numbers in the request. */
    | { readonly type: 'number-choice'; readonly choices: readonly string[] }
  );

const integer = (name: string, label: string, minimum: number, maximum: number, rest: Partial<Common> = {}) =>
  ({ type: 'integer', name, label, minimum, maximum, ...rest }) as const;

const out: FormField = {
  type: 'text',
  name: 'out',
  label: 'Output',
  hint: "the run's directory: a path or s3:// URI",
  isRequired: true,
};
const source = (hint: string): FormField => ({
  type: 'text',
  name: 'source',
  label: 'Source',
  hint,
  isRequired: true,
});
const model: FormField = {
  type: 'text',
  name: 'model',
  label: 'Model',
  hint: 'safetensors, PyTorch (.pth) or ONNX; a path or s3:// URI',
  isRequired: true,
};
const dataset: FormField = {
  type: 'text',
  name: 'dataset',
  label: 'Dataset',
  hint: 'a prepared dataset: a path or s3:// URI',
  isRequired: true,
};
const choosing: readonly FormField[] = [
  { type: 'lines', name: 'include', label: 'Include', hint: 'globs, one per line', isSeldom: true },
  { type: 'lines', name: 'exclude', label: 'Exclude', hint: 'globs, one per line', isSeldom: true },
  integer('limit', 'At most so many images', 1, Number.MAX_SAFE_INTEGER, { isSeldom: true }),
];
const shardSize = integer('shardSize', 'Images per job', 1, SHARD_SIZE_MAX, {
  standard: '1000',
  isSeldom: true,
});
const batchSize = (maximum: number, hint: string) =>
  integer('batchSize', 'Images per step of the device', 1, maximum, { hint, isSeldom: true });
const seed = integer('seed', 'Seed', 0, Number.MAX_SAFE_INTEGER, { standard: '0', isSeldom: true });
const crops: FormField = {
  type: 'number-choice',
  name: 'crops',
  label: 'Crops',
  choices: ['1', '10'],
  standard: '1',
  hint: '1: centre crop, 10: mean over corners and centre, mirrored',
};
const priority = (kind: RunKind) =>
  integer('priority', 'Priority', 0, PRIORITY_MAX, {
    standard: String(PRIORITY_DEFAULT[kind]),
    hint: '1 is the most urgent; 0 is before all',
    isSeldom: true,
  });
const fresh: FormField = {
  type: 'flag',
  name: 'fresh',
  label: 'Start another run even if an equal one exists',
  isSeldom: true,
};

/** The fields of each kind of run, as the command of the same name has options. */
export const FORM_FIELDS: Readonly<Record<RunKind, readonly FormField[]>> = {
  classify: [
    source('folder, s3:// prefix, manifest (.csv, .jsonl, .parquet) or WebDataset tars'),
    model,
    out,
    integer('topK', 'Classes per image', 1, TOP_K_MAX, { standard: '5' }),
    crops,
    {
      type: 'choice',
      name: 'format',
      label: 'Format of the results',
      choices: PART_FORMATS,
      standard: 'parquet',
    },
    { type: 'text', name: 'labels', label: 'Labels', hint: 'one per line, or a JSON array', isSeldom: true },
    ...choosing,
    shardSize,
    batchSize(BATCH_SIZE_MAX, ''),
    {
      type: 'flag',
      name: 'embeddings',
      label: 'Add the penultimate activations to every row',
      isSeldom: true,
    },
    priority('classify'),
    fresh,
  ],
  prepare: [
    source('folder with a folder per class, manifest with a column label, or WebDataset tars'),
    out,
    integer('shortSide', 'Shorter side of the stored images, in pixels', 1, SHORT_SIDE_MAX, {
      standard: '256',
    }),
    {
      type: 'choice',
      name: 'encoding',
      label: 'Format of the stored images',
      choices: ['jpeg', 'png'],
      standard: 'jpeg',
    },
    {
      type: 'share',
      name: 'valFraction',
      label: 'Share kept for validation',
      maximum: VAL_FRACTION_MAX,
      standard: '0.1',
    },
    ...choosing,
    shardSize,
    seed,
    priority('prepare'),
    fresh,
  ],
  train: [
    dataset,
    out,
    {
      type: 'choice',
      name: 'recipe',
      label: 'Recipe',
      choices: ARCHITECTURE_NAMES,
      standard: 'alexnet-2012',
    },
    integer('epochs', 'Epochs', 1, EPOCHS_MAX, { hint: "empty: the recipe's" }),
    { ...batchSize(BATCH_SIZE_TRAINING_MAX, "empty: the recipe's"), isSeldom: false },
    {
      type: 'lines',
      name: 'settings',
      label: 'Settings',
      hint: 'KEY=VALUE, one per line: see imagemill recipes NAME',
      isSeldom: true,
    },
    { type: 'text', name: 'init', label: 'Model to start from', isSeldom: true },
    seed,
    integer('checkpointSteps', 'Steps between two checkpoints in an epoch', 1, CHECKPOINT_STEPS_MAX, {
      standard: '500',
      isSeldom: true,
    }),
    integer('keepCheckpoints', 'Epochs kept beside the best and the last', 0, EPOCHS_MAX, {
      standard: '2',
      isSeldom: true,
    }),
    {
      type: 'time',
      name: 'at',
      label: 'Not before',
      hint: 'ISO 8601, such as 2026-01-31T02:00:00Z',
      isSeldom: true,
    },
    priority('train'),
    fresh,
  ],
  evaluate: [
    dataset,
    model,
    { type: 'choice', name: 'split', label: 'Split', choices: SPLITS, standard: 'val' },
    crops,
    { ...out, isRequired: false, hint: 'empty: below IMAGEMILL_HOME' },
    batchSize(BATCH_SIZE_MAX, ''),
    priority('evaluate'),
  ],
};
