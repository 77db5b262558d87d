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

/** How a training run goes. */
export const trainingSchema = z.object({
  epochs: z.number().int().positive().describe('Epochs of the recipe.'),
  stepsPerEpoch: z.number().int().positive().nullable().describe('null before the first is known.'),
  done: z.array(epochFactsSchema),
  steps: z.array(stepMetricsSchema).describe(`At most ${CURVE_POINTS_MAX}, evenly spaced, ascending.`),
  latest: trainProgressSchema
    .nullable()
    .describe('What the epoch in progress last reported; null where none is.'),
});
export type Training = z.infer<typeof trainingSchema>;
