import { z } from 'zod';
import { SPLITS } from '../dataset.ts';
import { SHARD_SIZE_MAX } from '../ids.ts';
import { BATCH_SIZE_TRAINING_MAX, EPOCHS_MAX } from '../recipe.ts';
import { PRIORITY_DEFAULT, PRIORITY_MAX } from '../queues.ts';
import { PART_FORMATS } from '../rows.ts';
import { BATCH_SIZE_MAX, SHORT_SIDE_MAX, TOP_K_MAX, VAL_FRACTION_MAX } from '../run.ts';

const LOCATION_CHARS_MAX = 4_096;
const GLOBS_MAX = 100;
const GLOB_CHARS_MAX = 1_024;
const SETTINGS_MAX = 100;
export const CHECKPOINT_STEPS_MAX = 1_000_000_000;

const location = z
  .string()
  .trim()
  .min(1)
  .max(LOCATION_CHARS_MAX)
  .describe('A path, `file://` or `s3://` location.');
const globs = z
  .array(z.string().min(1).max(GLOB_CHARS_MAX))
  .max(GLOBS_MAX)
  .default([])
  .describe('Globs on the key relative to the source.');
const seed = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0);
const priority = (standard: number) => z.number().int().min(0).max(PRIORITY_MAX).default(standard);
const crops = z.union([z.literal(1), z.literal(10)]).default(1);
const batchSize = z.number().int().min(1).max(BATCH_SIZE_MAX).optional();
const shardSize = z.number().int().min(1).max(SHARD_SIZE_MAX).default(1_000);
const fresh = z
  .boolean()
  .default(false)
  .describe('Start another run, in a folder of its own below `out`, even where an equal one exists.');

const sourceFields = {
  source: location.describe('Folder, prefix, manifest (.csv, .jsonl, .parquet) or WebDataset tars.'),
  include: globs,
  exclude: globs,
  limit: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
};

/** As `imagemill classify`. Unknown fields are refused: a misspelled option must not be ignored. */
export const submitClassifySchema = z.strictObject({
  kind: z.literal('classify'),
  ...sourceFields,
  model: location,
  labels: location.optional(),
  out: location,
  topK: z.number().int().min(1).max(TOP_K_MAX).default(5),
  crops,
  shardSize,
  batchSize,
  format: z.enum(PART_FORMATS).default('parquet'),
  embeddings: z.boolean().default(false),
  priority: priority(PRIORITY_DEFAULT.classify),
  fresh,
});

/** As `imagemill prepare`. */
export const submitPrepareSchema = z.strictObject({
  kind: z.literal('prepare'),
  ...sourceFields,
  out: location,
  shortSide: z.number().int().min(1).max(SHORT_SIDE_MAX).default(256),
  encoding: z.enum(['jpeg', 'png']).default('jpeg'),
  valFraction: z.number().min(0).max(VAL_FRACTION_MAX).default(0.1),
  shardSize,
  seed,
  priority: priority(PRIORITY_DEFAULT.prepare),
  fresh,
});

/** As `imagemill train`. */
export const submitTrainSchema = z.strictObject({
  kind: z.literal('train'),
  dataset: location,
  out: location,
  recipe: z.string().min(1).max(100).default('alexnet-2012'),
  epochs: z.number().int().min(1).max(EPOCHS_MAX).optional(),
  batchSize: z.number().int().min(1).max(BATCH_SIZE_TRAINING_MAX).optional(),
  settings: z
    .array(z.string().min(3).max(1_024))
    .max(SETTINGS_MAX)
    .default([])
    .describe('What differs from the recipe: `KEY=VALUE`.'),
  seed,
  init: location.optional().describe('Model file to start from.'),
  checkpointSteps: z.number().int().min(1).max(CHECKPOINT_STEPS_MAX).default(500),
  keepCheckpoints: z.number().int().min(0).max(EPOCHS_MAX).default(2),
  at: z.iso.datetime({ offset: true }).optional().describe('Not before this time.'),
  priority: priority(PRIORITY_DEFAULT.train),
  fresh,
});

/** As `imagemill evaluate`. */
export const submitEvaluateSchema = z.strictObject({
  kind: z.literal('evaluate'),
  dataset: location,
  split: z.enum(SPLITS).default('val'),
  model: location,
  out: location.optional().describe('Where it is left out: below IMAGEMILL_HOME.'),
  crops,
  batchSize,
  priority: priority(PRIORITY_DEFAULT.evaluate),
});

export const submitRunSchema = z.discriminatedUnion('kind', [
  submitClassifySchema,
  submitPrepareSchema,
  submitTrainSchema,
  submitEvaluateSchema,
]);

/** What is submitted, with every default filled in. */
export type SubmitRun = z.infer<typeof submitRunSchema>;
/** What a client may send. */
export type SubmitRunInput = z.input<typeof submitRunSchema>;
