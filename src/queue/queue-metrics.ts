import type { Job, Queue } from 'bullmq';
import { QUEUE_NAMES, type QueueName } from '../contract/queues.ts';
import type { Queues } from './queues.ts';

const MS_PER_SECOND = 1_000;
/** Priorities of one queue whose first job is looked at: more are not in use at a time. */
const PRIORITIES_LOOKED_AT = 8;

/** The states a job may be in, as they are counted. */
export const JOB_STATES = [
  'waiting',
  'prioritized',
  'active',
  'delayed',
  'waiting-children',
  'failed',
  'completed',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface QueueFigures {
  readonly queue: QueueName;
  readonly jobs: Readonly<Record<JobState, number>>;
  /** Age of the job that has waited longest since it could have been taken; 0 where none waits. */
  readonly oldestWaitingSeconds: number;
}

/**
 * How full the queues are, and for how long. A few commands per queue, none of which depends on its length: LLEN and
 * ZCARD for the counts; for the oldest job both ends of the list of waiting jobs, and of those with a priority the first
 * one of each priority, which is that priority's oldest. Where it stands is known from ZCOUNT of the priorities before
 * it, O(log n), and of the priorities the eight most urgent ones are looked at.
 * @throws what Redis or the connection to it fails with
 */
export async function readQueueFigures(queues: Queues, nowMs = Date.now()): Promise<QueueFigures[]> {
  return Promise.all(
    QUEUE_NAMES.map(async (name) => {
      const queue = queues.get(name);
      const [counts, oldestMs] = await Promise.all([queue.getJobCounts(...JOB_STATES), oldestWaiting(queue)]);
      const jobs = Object.fromEntries(JOB_STATES.map((state) => [state, counts[state] ?? 0]));
      return {
        queue: name,
        jobs: jobs as Record<JobState, number>,
        oldestWaitingSeconds: oldestMs === null ? 0 : Math.max(0, nowMs - oldestMs) / MS_PER_SECOND,
      };
    }),
  );
}

/** Since when the job waits that waits longest, in ms since 1970; null where none does. */
async function oldestWaiting(queue: Queue): Promise<number | null> {
  const [first, last, prioritized] = await Promise.all([
    // New jobs come in at one end; those of workers that died are put back at the other.
    queue.getJobs(['waiting'], 0, 0, true),
    queue.getJobs(['waiting'], 0, 0, false),
    oldestPrioritized(queue),
  ]);
  const waiting = [...first, ...last, ...prioritized].map(waitingSince);
  return waiting.length === 0 ? null : Math.min(...waiting);
}

/** The first job of each priority. */
async function oldestPrioritized(queue: Queue): Promise<Job[]> {
  const found: Job[] = [];
  let rank = 0;
  for (let looked = 0; looked < PRIORITIES_LOOKED_AT; looked++) {
    const [job] = await queue.getPrioritized(rank, rank);
    if (job === undefined) break;
    found.push(job);
    const counts = await queue.getCountsPerPriority([job.priority]);
    // Taken meanwhile, it counts no more; the next look must be further on all the same.
    rank += Math.max(1, counts[job.priority] ?? 0);
  }
  return found;
}

/** A job that was put off, or tried before, waits only since it could be taken (again). */
function waitingSince({ timestamp, opts, processedOn }: Job): number {
  return Math.max(timestamp + (opts.delay ?? 0), processedOn ?? 0);
}
