import { z } from 'zod';
import { epochCommitDocument, stepMetricsSchema, trainProgressSchema } from '../training.ts';

/** Points of a curve at most: more than a screen has pixels across tells nothing. */
export const CURVE_POINTS_MAX = 2_000;

export const epochFactsSchema = epochCommitDocument.schema.pick({
  epoch: true,
  committedAt: true,
  worker: true,
  steps: true,
  learningRate: true,
  train: true,
  validation: true,
  seconds: true,
  imagesPerSecond: true,
  dataWaitShare: true,
});
export type EpochFacts = z.infer<typeof epochFactsSchema>;

/** How a training run goes. */
export const trainingSchema = z.object({
  /** Epochs of the recipe, and steps of one epoch where that is known. */
  epochs: z.number().int().positive(),
  stepsPerEpoch: z.number().int().positive().nullable(),
  done: z.array(epochFactsSchema),
  /** Thinned to CURVE_POINTS_MAX, ascending. */
  steps: z.array(stepMetricsSchema),
  /** What the epoch in progress last reported; null where none is. */
  latest: trainProgressSchema.nullable(),
});
export type Training = z.infer<typeof trainingSchema>;
