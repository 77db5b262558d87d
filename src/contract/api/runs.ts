import { z } from 'zod';
import { runIdSchema, shardIndexSchema } from '../ids.ts';
import { failureDocument, stageSecondsSchema } from '../ledger.ts';
import { errorRowSchema, resultRowSchema } from '../rows.ts';
import { PRIORITY_MAX } from '../queues.ts';
import { RUN_KINDS, RUN_STATES, runDocument } from '../run.ts';

export const RUNS_PAGE_MAX = 200;
export const ROWS_PAGE_MAX = 1_000;
/** Shards that a map shows at most. */
export const SHARD_MAP_MAX = 1_000_000;
const count = z.number().int().nonnegative();

/** `unreadable`: the run's directory is gone, or cannot be read; `unknown`: not looked at yet. */
export const SHOWN_STATES = [...RUN_STATES, 'unreadable', 'unknown'] as const;
export type ShownState = (typeof SHOWN_STATES)[number];

/** One line of the list of runs. */
export const runOverviewSchema = z.object({
  run: runIdSchema,
  kind: z.enum(RUN_KINDS),
  state: z.enum(SHOWN_STATES),
  source: z.string(),
  out: z.string(),
  createdAt: z.iso.datetime(),
  submittedBy: z.string().nullable(),
  items: count
    .nullable()
    .describe(
      'Images done so far, labelled or not; of a training run, images trained on; null before the run was looked at.',
    ),
  total: count.nullable().describe('Images in all; null as long as the source is being listed.'),
  errors: count.nullable(),
  progress: z.number().min(0).max(1).describe('0 to 1.'),
  imagesPerSecond: z
    .number()
    .nonnegative()
    .nullable()
    .describe(
      'Over the last half minute while it runs, over the whole run when it is done; null where nothing is known.',
    ),
  etaSeconds: z.number().nonnegative().nullable(),
  finishedAt: z.iso.datetime().nullable(),
});
export type RunOverview = z.infer<typeof runOverviewSchema>;

export const listRunsQuerySchema = z.strictObject({
  kind: z.enum(RUN_KINDS).optional(),
  state: z.enum(RUN_STATES).optional(),
  text: z.string().max(200).optional().describe('Part of an id, source, output or submitter, in any case.'),
  limit: z.coerce.number().int().min(1).max(RUNS_PAGE_MAX).default(50),
  cursor: runIdSchema.optional().describe('`next` of the page before.'),
});
export type ListRunsQuery = z.infer<typeof listRunsQuerySchema>;
/** What a client may ask for. */
export type ListRunsInput = Partial<ListRunsQuery>;

export const runListSchema = z.object({
  runs: z.array(runOverviewSchema),
  next: runIdSchema.nullable().describe('Cursor of the next page; null on the last.'),
  matching: count.describe('Runs that match.'),
  pending: count.describe('Runs whose state is not known yet, so that a filter by state may miss them.'),
});
export type RunList = z.infer<typeof runListSchema>;

/** Everything of a run that fits on one page. */
export const runDetailSchema = z.object({
  overview: runOverviewSchema,
  document: runDocument.schema
    .omit({ model: true })
    .nullable()
    .describe('null where run.json cannot be read.'),
  model: z
    .object({ uri: z.string(), architecture: z.string(), classes: count, digest: z.string() })
    .nullable(),
  failure: failureDocument.schema.nullable(),
  shards: z.object({ planned: count, committed: count, planComplete: z.boolean() }).nullable(),
  errorsByCode: z.record(z.string(), count),
  stages: stageSecondsSchema.nullable(),
  generations: count.describe('Complete generations of retried errors.'),
  actions: z.array(z.enum(['cancel', 'resume', 'retry-failed'])).describe('What may be done to the run now.'),
});
export type RunDetail = z.infer<typeof runDetailSchema>;

export const submittedSchema = z.object({
  run: runIdSchema,
  out: z.string(),
  created: z.boolean().describe('False where the very same run existed, and was put on the queue again.'),
});
export type Submitted = z.infer<typeof submittedSchema>;

export const retryRequestSchema = z.strictObject({
  failed: z
    .boolean()
    .default(false)
    .describe('Label the error items of a finished run again, in place of shards without a result.'),
  priority: z.number().int().min(0).max(PRIORITY_MAX).optional(),
});

export type RetryRequestInput = z.input<typeof retryRequestSchema>;

/** What an action came to. */
export const actionSchema = z.object({
  run: runIdSchema,
  enqueued: runIdSchema
    .nullable()
    .describe(
      'The run that is on the queue now: the same, or the nested run of a retry; null where nothing was left to do.',
    ),
  message: z.string(),
});
export type ActionAnswer = z.infer<typeof actionSchema>;

/** One character per shard, by shard, of the first million: `.` waiting, `>` in progress, `=` committed, `!` with item errors, `x` failed. */
export const shardMapSchema = z.object({
  run: runIdSchema,
  planned: count,
  planComplete: z.boolean(),
  cells: z.string(),
});
export type ShardMap = z.infer<typeof shardMapSchema>;

/** What is known of one shard; null: nothing yet. */
export const shardFactsSchema = z.object({
  shard: shardIndexSchema,
  state: z.enum(['waiting', 'active', 'committed', 'failed']),
  /** Images done so far, labelled or not. */
  items: count.nullable(),
  labelled: count.nullable(),
  errors: count.nullable(),
  seconds: z.number().nullable(),
  worker: z.string().nullable(),
  committedAt: z.iso.datetime().nullable(),
});

export type ShardFacts = z.infer<typeof shardFactsSchema>;

export const rowsQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(ROWS_PAGE_MAX).default(100),
  /** `next` of the page before. */
  cursor: z
    .string()
    .regex(/^\d{1,4}\.\d{1,8}\.\d{1,8}$/, 'expected the `next` of a page')
    .optional(),
});

export type RowsQueryInput = Partial<z.infer<typeof rowsQuerySchema>>;

/** A page may hold fewer rows than were asked for; only `next: null` says that it is the last. */
export const resultsPageSchema = z.object({
  rows: z.array(resultRowSchema.omit({ embedding: true })),
  next: z.string().nullable(),
});
export type ResultsPage = z.infer<typeof resultsPageSchema>;

export const errorsPageSchema = z.object({ rows: z.array(errorRowSchema), next: z.string().nullable() });
export type ErrorsPage = z.infer<typeof errorsPageSchema>;
