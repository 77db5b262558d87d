import { z } from 'zod';
import { defineDocument } from './document.ts';
import { runIdSchema, shardIndexSchema } from './ids.ts';

/** Seconds between the creation of the run and its being put on the queue: part of its jobs' ids. */
const generationSchema = z.number().int().min(0);

/**
 * Queue `plan`: lists the source, writes shards, enqueues their jobs, waits for them, writes the summary.
 * The cursor is saved after every chunk of jobs, so that a planner that dies is continued, not repeated.
 */
export const planJob = defineDocument('plan-job', 1, {
  run: runIdSchema,
  /** The run's directory, as a URI. */
  out: z.string(),
  generation: generationSchema,
  phase: z.enum(['planning', 'waiting']),
  /** Shards that are planned and enqueued already. */
  planned: z.number().int().nonnegative(),
  /** Items in those shards. */
  plannedItems: z.number().int().nonnegative(),
  priority: z.number().int().nonnegative(),
});
export type PlanJob = z.infer<typeof planJob.schema>;

/** Queue `classify`: one shard. */
export const classifyJob = defineDocument('classify-job', 1, {
  run: runIdSchema,
  out: z.string(),
  shard: shardIndexSchema,
  items: z.number().int().positive(),
});
export type ClassifyJob = z.infer<typeof classifyJob.schema>;

/** Queue `prepare`: one shard. */
export const prepareJob = defineDocument('prepare-job', 1, {
  run: runIdSchema,
  out: z.string(),
  shard: shardIndexSchema,
  items: z.number().int().positive(),
});

/** Queue `train`: one epoch. The next one is enqueued when its checkpoint is committed. */
export const trainJob = defineDocument('train-job', 1, {
  run: runIdSchema,
  out: z.string(),
  epoch: z.number().int().min(1),
  generation: generationSchema,
  priority: z.number().int().nonnegative(),
});
export type TrainJob = z.infer<typeof trainJob.schema>;

/** Queue `plan`, at every time of a schedule: submits a training run that starts from the best of the one before. */
export const trainScheduleJob = defineDocument('train-schedule-job', 1, {
  /** Location of the dataset, which is opened anew every time. */
  dataset: z.string(),
  /** Every run gets a folder of its own below. */
  out: z.string(),
  recipe: z.string(),
  settings: z.array(z.string()),
  seed: z.number().int().nonnegative(),
  /** Model for the first run to start from. */
  init: z.string().optional(),
  checkpointSteps: z.number().int().min(1),
  keepCheckpoints: z.number().int().min(0),
  priority: z.number().int().nonnegative(),
});
export type TrainScheduleJob = z.infer<typeof trainScheduleJob.schema>;

/** Return value and progress of a classify or prepare job: tiny, because BullMQ copies it to the parent and the event stream. */
export const shardProgressSchema = z.object({
  /** Items done so far, labelled or not. */
  items: z.number().int().nonnegative(),
  errors: z.number().int().nonnegative(),
});
export type ShardProgress = z.infer<typeof shardProgressSchema>;

/** Progress of a plan job. */
export const planProgressSchema = z.object({
  shards: z.number().int().nonnegative(),
  items: z.number().int().nonnegative(),
  /** Whether the whole source has been listed. */
  complete: z.boolean(),
});
export type PlanProgress = z.infer<typeof planProgressSchema>;
