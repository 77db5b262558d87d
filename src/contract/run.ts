import { z } from 'zod';
import { defineDocument } from './document.ts';
import { runIdSchema } from './ids.ts';
import { modelCard } from './model-card.ts';
import { PART_FORMATS } from './rows.ts';

export const SHARD_SIZE_MAX = 100_000;
export const TOP_K_MAX = 1_000;
export const BATCH_SIZE_MAX = 4_096;

export const sourceSpecSchema = z.object({
  uri: z.string().min(1),
  /** Globs on the key relative to the source; an item must match one of `include`, and none of `exclude`. */
  include: z.array(z.string()).default([]),
  exclude: z.array(z.string()).default([]),
  /** Items taken at most. */
  limit: z.number().int().positive().optional(),
});

export type SourceSpec = z.infer<typeof sourceSpecSchema>;

/** Everything that decides what a classify run computes; two equal specs are one run. */
export const classifySpecSchema = z.object({
  kind: z.literal('classify'),
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
});

export type ClassifySpec = z.infer<typeof classifySpecSchema>;

export const RUN_KINDS = ['classify'] as const;

/** `<out>/run.json`: written once, never changed. */
export const runDocument = defineDocument('run', 1, {
  run: runIdSchema,
  createdAt: z.iso.datetime(),
  /** `sha256:<hex>` of the spec's canonical JSON. */
  specDigest: z.string(),
  spec: classifySpecSchema,
  /** The model as it was when the run was submitted: architecture, preprocessing, labels. */
  model: modelCard.schema,
  /** What makes one attempt's part the shard's result. */
  fencing: z.enum(['conditional-put']),
  versions: z.object({ imagemill: z.string(), node: z.string() }),
});

export type Run = z.infer<typeof runDocument.schema>;

/** An entry of the index of runs, below IMAGEMILL_HOME: says where a run's ledger is. */
export const runIndexEntry = defineDocument('run-index', 1, {
  run: runIdSchema,
  kind: z.enum(RUN_KINDS),
  out: z.string(),
  source: z.string(),
  createdAt: z.iso.datetime(),
});

export type RunIndexEntry = z.infer<typeof runIndexEntry.schema>;

export const RUN_STATES = ['planning', 'running', 'done', 'failed', 'cancelled'] as const;
export type RunState = (typeof RUN_STATES)[number];
