import { z } from 'zod';
import { defineDocument } from './document.ts';
import { runIdSchema, SHARD_SIZE_MAX } from './ids.ts';
import { modelCard, type ModelCard } from './model-card.ts';
import { SPLITS } from './dataset.ts';
import { recipeSchema } from './recipe.ts';
import { PART_FORMATS } from './rows.ts';

export const TOP_K_MAX = 1_000;
export const BATCH_SIZE_MAX = 4_096;
export const VAL_FRACTION_MAX = 0.9;
export const SHORT_SIDE_MAX = 4_096;

export const sourceSpecSchema = z.object({
  uri: z.string().min(1),
  /** Globs on the key relative to the source; an item must match one of `include`, and none of `exclude`. */
  include: z.array(z.string()).default([]),
  exclude: z.array(z.string()).default([]),
  /** Items taken at most. */
  limit: z.number().int().positive().optional(),
});

export type SourceSpec = z.infer<typeof sourceSpecSchema>;

const labelFields = {
  source: sourceSpecSchema,
  model: z.object({
    uri: z.string(),
    digest: z.string(),
    /** Digest of a labels file given beside the model. */
    labelsDigest: z.string().optional(),
  }),
  topK: z.number().int().min(1).max(TOP_K_MAX),
  /** 1: centre crop. 10: corners and centre, mirrored; scores are the mean (Krizhevsky et al. 2012, §4.1). */
  crops: z.union([z.literal(1), z.literal(10)]),
  /** Items per shard. */
  shardSize: z.number().int().min(1).max(SHARD_SIZE_MAX),
  /** Items per batch; part of the spec because the last bits of a score can depend on it. */
  batchSize: z.number().int().min(1).max(BATCH_SIZE_MAX),
  format: z.enum(PART_FORMATS),
  embeddings: z.boolean(),
};

/** Everything that decides what a classify run computes; two equal specs are one run. */
export const classifySpecSchema = z.object({
  kind: z.literal('classify'),
  ...labelFields,
  /** Of a nested run: the run whose error items it labels again, in place of listing the source, as which generation. */
  retryOf: z.object({ run: runIdSchema, generation: z.number().int().min(1) }).optional(),
});
export type ClassifySpec = z.infer<typeof classifySpecSchema>;

/** Classifies a split of a dataset, whose labels are known, and compares. */
export const evaluateSpecSchema = z.object({
  kind: z.literal('evaluate'),
  ...labelFields,
  dataset: z.object({ uri: z.string(), digest: z.string() }),
  split: z.enum(SPLITS),
});
export type EvaluateSpec = z.infer<typeof evaluateSpecSchema>;

export const prepareSpecSchema = z.object({
  kind: z.literal('prepare'),
  source: sourceSpecSchema,
  shardSize: z.number().int().min(1).max(SHARD_SIZE_MAX),
  /** The shorter side becomes so many pixels; smaller images are kept as they are. */
  shortSide: z.number().int().min(1).max(SHORT_SIDE_MAX),
  encoding: z.enum(['jpeg', 'png']),
  valFraction: z.number().min(0).max(VAL_FRACTION_MAX),
  /** Decides the split. */
  seed: z.number().int().nonnegative(),
});
export type PrepareSpec = z.infer<typeof prepareSpecSchema>;

export const trainSpecSchema = z.object({
  kind: z.literal('train'),
  dataset: z.object({ uri: z.string(), digest: z.string() }),
  recipe: recipeSchema,
  seed: z.number().int().nonnegative(),
  /** Weights to start from, in place of random ones; a head with another number of classes is replaced. */
  init: z.object({ uri: z.string(), digest: z.string() }).optional(),
  /** Steps between two checkpoints within an epoch. */
  checkpointSteps: z.number().int().min(1),
  /** Epochs whose checkpoints stay beside the best and the last one. */
  keepCheckpoints: z.number().int().min(0),
});
export type TrainSpec = z.infer<typeof trainSpecSchema>;

export const runSpecSchema = z.discriminatedUnion('kind', [
  classifySpecSchema,
  evaluateSpecSchema,
  prepareSpecSchema,
  trainSpecSchema,
]);
export type RunSpec = z.infer<typeof runSpecSchema>;

/** Who submitted a run, as `user@host` or a name of an API's own: text without control and format characters. */
export const submittedBySchema = z
  .string()
  .min(1)
  .max(200)
  .regex(/^\P{C}*$/u, 'expected printable text');

export const RUN_KINDS = ['classify', 'evaluate', 'prepare', 'train'] as const;

/** `<out>/run.json`: written once, never changed. */
export const runDocument = defineDocument('run', 1, {
  run: runIdSchema,
  createdAt: z.iso.datetime(),
  /** `sha256:<hex>` of the spec's canonical JSON. */
  specDigest: z.string(),
  spec: runSpecSchema,
  /** Of runs that label: the model as it was at submission, with architecture, preprocessing and labels. */
  model: modelCard.schema.optional(),
  /**
   * What makes one attempt's part the shard's result: the store's own conditional put or, where a probe found that it
   * has none, claims in Redis.
   */
  fencing: z.enum(['conditional-put', 'redis']),
  versions: z.object({ imagemill: z.string(), node: z.string() }),
  submittedBy: submittedBySchema.optional(),
});

export type Run = z.infer<typeof runDocument.schema>;

/** A run that labels images with a model. */
export type LabelRun = Run & { readonly spec: ClassifySpec | EvaluateSpec; readonly model: ModelCard };
export type ClassifyRun = LabelRun & { readonly spec: ClassifySpec };
export type EvaluateRun = LabelRun & { readonly spec: EvaluateSpec };
export type PrepareRun = Run & { readonly spec: PrepareSpec };
export type TrainRun = Run & { readonly spec: TrainSpec };
/** A run whose source is cut into shards. */
export type ShardedRun = Run & { readonly spec: ClassifySpec | EvaluateSpec | PrepareSpec };

export function isLabelRun(run: Run): run is LabelRun {
  return (run.spec.kind === 'classify' || run.spec.kind === 'evaluate') && run.model !== undefined;
}

export function isClassifyRun(run: Run): run is ClassifyRun {
  return run.spec.kind === 'classify' && run.model !== undefined;
}

export function isEvaluateRun(run: Run): run is EvaluateRun {
  return run.spec.kind === 'evaluate' && run.model !== undefined;
}

export function isPrepareRun(run: Run): run is PrepareRun {
  return run.spec.kind === 'prepare';
}

export function isTrainRun(run: Run): run is TrainRun {
  return run.spec.kind === 'train';
}

export function isShardedRun(run: Run): run is ShardedRun {
  return isLabelRun(run) || isPrepareRun(run);
}

/** What a run reads, for a list of runs. */
export function sourceOfRun({ spec }: Run): string {
  return spec.kind === 'train' ? spec.dataset.uri : spec.source.uri;
}

/** An entry of the index of runs, below IMAGEMILL_HOME: says where a run's ledger is. */
export const runIndexEntry = defineDocument('run-index', 1, {
  run: runIdSchema,
  kind: z.enum(RUN_KINDS),
  out: z.string(),
  source: z.string(),
  createdAt: z.iso.datetime(),
  submittedBy: submittedBySchema.optional(),
});

export type RunIndexEntry = z.infer<typeof runIndexEntry.schema>;

export const RUN_STATES = ['planning', 'running', 'done', 'failed', 'cancelled'] as const;
export type RunState = (typeof RUN_STATES)[number];
