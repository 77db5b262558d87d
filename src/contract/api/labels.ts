import { z } from 'zod';
import { runIdSchema } from '../ids.ts';
import { CONFIDENCE_BINS, LEAST_CONFIDENT_MAX, ledgerLabelStatisticsSchema } from '../label-statistics.ts';

/** More classes than that are told as one sum. */
export const CLASSES_LISTED_MAX = 1_000;

const count = z.number().int().nonnegative();

/** What the labels of a run look like so far, with complete generations. */
export const runLabelsSchema = z.object({
  run: runIdSchema,
  /** Labelled images that are counted here. */
  images: count,
  /** Shards whose commits say nothing of their labels, since an earlier version wrote them. */
  undescribedShards: count,
  /** By the class with the highest score, most images first; classes without images are left out. */
  classes: z.array(z.object({ id: count, label: z.string(), images: count })).max(CLASSES_LISTED_MAX),
  /** What is beyond those. */
  others: z.object({ classes: count, images: count }),
  /** Images by that score: bin i holds `[i/20, (i+1)/20)`, the last one also 1. */
  confidence: z.array(count).length(CONFIDENCE_BINS),
  /** Lowest score first. `generation` 0 is the run itself. */
  leastConfident: z
    .array(ledgerLabelStatisticsSchema.shape.leastConfident.element.extend({ generation: count }))
    .max(LEAST_CONFIDENT_MAX),
});
export type RunLabels = z.infer<typeof runLabelsSchema>;
