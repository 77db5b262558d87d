import type { JobsOptions } from 'bullmq';

const BACKOFF_START_MS = 1_000;
const KEEP_COMPLETED = { age: 3_600, count: 1_000 };
const KEEP_FAILED = { age: 7 * 24 * 3_600, count: 10_000 };

/** How often a planner is tried: it is resumable, and a store that is away for a while should not end a run. */
export const PLAN_ATTEMPTS = 10;

/** Options every job gets: tries, exponential pauses with jitter, and how long finished jobs stay to be looked at. */
export function jobOptions(attempts: number): JobsOptions {
  return {
    attempts,
    backoff: { type: 'exponential', delay: BACKOFF_START_MS, jitter: 0.5 },
    removeOnComplete: KEEP_COMPLETED,
    removeOnFail: KEEP_FAILED,
  };
}
