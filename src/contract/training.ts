/** What a training run leaves in its ledger. Epochs count from 1; a step is one batch, counted from 0 in each epoch. */
import { z } from 'zod';
import { defineDocument } from './document.ts';
import { runIdSchema, tokenSchema } from './ids.ts';
import { writtenObjectSchema } from './ledger.ts';

const count = z.number().int().nonnegative();
/** JSON has no NaN; a loss that is not finite ends the epoch before it is written. */
const finite = z.number();

/** Sums over the items of an epoch so far. Carried from checkpoint to checkpoint, so that they stay exact. */
export const trainingTotalsSchema = z.object({
  items: count,
  lossSum: finite,
  top1Correct: count,
  top5Correct: count,
  seconds: z.number().nonnegative(),
  /** Time the device waited for data. */
  dataWaitSeconds: z.number().nonnegative(),
});
export type TrainingTotals = z.infer<typeof trainingTotalsSchema>;

/** `steps/000003-00000500.json`: makes one attempt's checkpoint the state of the run after so many steps of an epoch. */
export const stepCommitDocument = defineDocument('step-commit', 1, {
  run: runIdSchema,
  epoch: z.number().int().min(1),
  /** Steps of the epoch that are done. */
  step: z.number().int().min(1),
  token: tokenSchema,
  worker: z.string(),
  committedAt: z.iso.datetime(),
  checkpoint: writtenObjectSchema,
  /** One row per step since the checkpoint before: see `stepMetricsSchema`. */
  metrics: writtenObjectSchema,
  totals: trainingTotalsSchema,
});
export type StepCommit = z.infer<typeof stepCommitDocument.schema>;

export const epochMetricsSchema = z.object({
  loss: finite,
  top1Error: z.number().min(0).max(1),
  top5Error: z.number().min(0).max(1),
  items: count,
});
export type EpochMetrics = z.infer<typeof epochMetricsSchema>;

/** `epochs/000003.json`: created conditionally; makes one attempt's checkpoint the result of the epoch. */
export const epochCommitDocument = defineDocument('epoch-commit', 1, {
  run: runIdSchema,
  epoch: z.number().int().min(1),
  token: tokenSchema,
  worker: z.string(),
  committedAt: z.iso.datetime(),
  steps: count,
  /** At the last step of the epoch. */
  learningRate: z.number().nonnegative(),
  train: epochMetricsSchema,
  /** null where the dataset has no validation split. */
  validation: epochMetricsSchema.nullable(),
  seconds: z.number().nonnegative(),
  imagesPerSecond: z.number().nonnegative(),
  /** Part of the time in which the device waited for data, 0 to 1. */
  dataWaitShare: z.number().min(0).max(1),
  checkpoint: writtenObjectSchema,
  metrics: writtenObjectSchema,
});
export type EpochCommit = z.infer<typeof epochCommitDocument.schema>;

/** A line of `metrics/…jsonl`. */
export const stepMetricsSchema = z.object({
  epoch: z.number().int().min(1),
  step: count,
  loss: finite,
  top1Error: z.number().min(0).max(1),
  top5Error: z.number().min(0).max(1),
  learningRate: z.number().nonnegative(),
  imagesPerSecond: z.number().nonnegative(),
  dataWaitShare: z.number().min(0).max(1),
});
export type StepMetrics = z.infer<typeof stepMetricsSchema>;

/** `summary.json` of a training run. */
export const trainSummaryDocument = defineDocument('train-summary', 1, {
  run: runIdSchema,
  epochs: z.number().int().positive(),
  /** Whether training ended before the recipe's last epoch, since it no longer got better. */
  stoppedEarly: z.boolean(),
  best: z.object({
    epoch: z.number().int().min(1),
    /** Of the validation split; of the training split where there is none. */
    top1Error: z.number(),
    top5Error: z.number(),
    /** Model file, relative to the run. */
    model: z.string(),
    digest: z.string(),
  }),
  last: z.object({ epoch: z.number().int().min(1), model: z.string(), digest: z.string() }),
  items: count,
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  imagesPerSecond: z.number().nonnegative(),
});
export type TrainSummary = z.infer<typeof trainSummaryDocument.schema>;

/** Progress of a train job. */
export const trainProgressSchema = z.object({
  epoch: z.number().int().min(1),
  step: count,
  /** Of the epoch; 0 while that is not known yet. */
  steps: count,
  loss: z.number().nullable(),
  top1Error: z.number().nullable(),
  learningRate: z.number().nonnegative(),
  imagesPerSecond: z.number().nonnegative(),
  phase: z.enum(['waiting', 'training', 'validating', 'yielding']),
});
export type TrainProgress = z.infer<typeof trainProgressSchema>;
