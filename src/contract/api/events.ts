import { z } from 'zod';
import { runIdSchema } from '../ids.ts';
import { trainProgressSchema } from '../training.ts';
import { runOverviewSchema } from './runs.ts';

/**
 * What `/api/v1/events` tells. Every event carries a whole state, never a difference: one that was missed is made good
 * by the next, and after `reset` a page asks for everything anew.
 */
export const liveEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('run'), run: runOverviewSchema }),
  z.object({ type: z.literal('train'), run: runIdSchema, progress: trainProgressSchema }),
  /** Epochs or shards of the run were committed: what is shown of its results is out of date. */
  z.object({ type: z.literal('committed'), run: runIdSchema, count: z.number().int().nonnegative() }),
  /** The events between the last one a client has seen and now are not kept any more. */
  z.object({ type: z.literal('reset') }),
]);
export type LiveEvent = z.infer<typeof liveEventSchema>;
