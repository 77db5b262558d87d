import { z } from 'zod';
import { defineDocument } from './document.ts';
import { runIdSchema, shardIndexSchema, tokenSchema } from './ids.ts';
import { itemSchema } from './item.ts';
import { labelStatisticsSchema, ledgerLabelStatisticsSchema } from './label-statistics.ts';
import { pixelSumsSchema } from './dataset.ts';

/** `shards/000042.json`: written by the planner, immutable. */
export const shardDocument = defineDocument('shard', 1, {
  run: runIdSchema,
  shard: shardIndexSchema,
  items: z.array(itemSchema).min(1),
  /** Where the source's listing goes on after this shard: planning resumes here. */
  next: z.string(),
});
export type Shard = z.infer<typeof shardDocument.schema>;

/** `plan.json`: written once, when the whole source has been listed. */
export const planDocument = defineDocument('plan', 1, {
  run: runIdSchema,
  shards: z.number().int().positive(),
  items: z.number().int().positive(),
});
export type Plan = z.infer<typeof planDocument.schema>;

export const writtenObjectSchema = z.object({
  /** Relative to the run's directory. */
  key: z.string(),
  bytes: z.number().int().nonnegative(),
  digest: z.string(),
  rows: z.number().int().nonnegative(),
});

export type WrittenObject = z.infer<typeof writtenObjectSchema>;

/**
 * Wall time of each stage without waiting for a turn in it, summed over images or batches, in seconds; stages overlap, so
 * the sum exceeds the wall time.
 */
export const stageSecondsSchema = z.object({
  fetch: z.number(),
  decode: z.number(),
  compute: z.number(),
  write: z.number(),
});
export type StageSeconds = z.infer<typeof stageSecondsSchema>;

/** What one attempt at a shard wrote: a part, and the errors beside it where there are any. */
export const partSchema = z.object({
  part: writtenObjectSchema,
  errors: writtenObjectSchema.nullable(),
  items: z.number().int().positive(),
  labelled: z.number().int().nonnegative(),
  errorsByCode: z.record(z.string(), z.number().int().positive()),
  bytesRead: z.number().int().nonnegative(),
  seconds: z.number().nonnegative(),
  stages: stageSecondsSchema,
  /** Of runs that label; parts of earlier versions have none. */
  labels: labelStatisticsSchema.optional(),
});
export type Part = z.infer<typeof partSchema>;

/** `commits/000042.json`: created conditionally; makes one part the shard's result. */
export const commitDocument = defineDocument('commit', 1, {
  run: runIdSchema,
  shard: shardIndexSchema,
  token: tokenSchema,
  worker: z.string(),
  committedAt: z.iso.datetime(),
  ...partSchema.shape,
});
export type Commit = z.infer<typeof commitDocument.schema>;

/** `summary.json`: written once, when every shard has a commit. */
export const summaryDocument = defineDocument('summary', 1, {
  run: runIdSchema,
  items: z.number().int().nonnegative(),
  labelled: z.number().int().nonnegative(),
  errors: z.number().int().nonnegative(),
  errorsByCode: z.record(z.string(), z.number().int().positive()),
  shards: z.number().int().positive(),
  bytesRead: z.number().int().nonnegative(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  /** From submission to the last commit. */
  seconds: z.number().nonnegative(),
  imagesPerSecond: z.number().nonnegative(),
  stages: stageSecondsSchema,
  /** Of runs that label, where every commit has them. */
  labels: ledgerLabelStatisticsSchema.optional(),
});
export type Summary = z.infer<typeof summaryDocument.schema>;

/**
 * `generations/0001.json`: created conditionally, once the nested run that labelled a run's error items again has its
 * summary. Readers see all rows of the nested run from then on, and none before.
 */
export const generationDocument = defineDocument('generation', 1, {
  run: runIdSchema,
  /** From 1 on, without gaps: each retries the errors of the one before, the first those of the run itself. */
  generation: z.number().int().min(1),
  nested: runIdSchema,
  /** The nested run's ledger, relative to the run's directory; ends in `/`. */
  directory: z.string().regex(/^generations\/\d{4,}(?:-\d+)?\/$/),
  /** Items retried: as many as there were error rows. */
  items: z.number().int().positive(),
  labelled: z.number().int().nonnegative(),
  /** What is left of the run's errors after this generation. */
  errors: z.number().int().nonnegative(),
  errorsByCode: z.record(z.string(), z.number().int().positive()),
  finishedAt: z.iso.datetime(),
  /** As in the summary of the nested run. */
  labels: ledgerLabelStatisticsSchema.optional(),
});
export type Generation = z.infer<typeof generationDocument.schema>;

/** `failed.json`: why the run stopped short; removed when it is resumed. */
export const failureDocument = defineDocument('failure', 1, {
  run: runIdSchema,
  failedAt: z.iso.datetime(),
  code: z.string(),
  message: z.string(),
  /** Shards without a commit, the first hundred of them. */
  shards: z.array(z.object({ shard: shardIndexSchema, message: z.string() })).max(100),
});
export type Failure = z.infer<typeof failureDocument.schema>;

/** `cancelled.json`: the tombstone workers check before they start a shard. */
export const cancellationDocument = defineDocument('cancellation', 1, {
  run: runIdSchema,
  cancelledAt: z.iso.datetime(),
});

/** One split's part of a prepared shard. */
const preparedSplit = z.object({
  tar: writtenObjectSchema,
  index: writtenObjectSchema,
  items: z.number().int().positive(),
});

/** `parts/000042.<token>.json` of a prepare run: what an attempt at a shard made. */
export const preparedShardDocument = defineDocument('prepared-shard', 1, {
  run: runIdSchema,
  shard: shardIndexSchema,
  train: preparedSplit.nullable(),
  val: preparedSplit.nullable(),
  /** Over the training images. */
  sums: pixelSumsSchema,
  /** Class names of all items of the shard, broken ones included, and how many of each could be prepared. */
  classes: z.array(z.object({ name: z.string(), items: z.number().int().nonnegative() })),
});
export type PreparedShard = z.infer<typeof preparedShardDocument.schema>;
