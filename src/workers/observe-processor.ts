import { DelayedError, WaitingChildrenError, WaitingError, type Job, type Processor } from 'bullmq';
import { z } from 'zod';
import { asImagemillError, type ErrorCode } from '../contract/errors.ts';
import { runOfJobId } from '../contract/ids.ts';
import type { QueueName } from '../contract/queues.ts';
import type { CurrentJob } from '../contract/worker-report.ts';
import { willNotBeTriedAgain } from './job-outcome.ts';
import type { WorkerActivity } from './worker-activity.ts';
import type { JobOutcome, WorkerMetrics } from './worker-metrics.ts';

const MS_PER_SECOND = 1_000;

/** A processor that tells when it begins and ends a job, and how it ended; it does what `processor` does. */
export function observeProcessor<R>(
  queue: QueueName,
  processor: Processor<unknown, R>,
  activity: Pick<WorkerActivity, 'jobStarted' | 'jobEnded'>,
  metrics: Pick<WorkerMetrics, 'jobEnded'>,
): Processor<unknown, R> {
  return async (job, token, signal) => {
    const startedAtMs = performance.now();
    const ended = (outcome: JobOutcome, code: ErrorCode | null): void =>
      metrics.jobEnded(queue, outcome, (performance.now() - startedAtMs) / MS_PER_SECOND, code);
    activity.jobStarted(describeJob(queue, job, new Date()));
    try {
      const result = await processor(job, token, signal);
      ended('completed', null);
      return result;
    } catch (error) {
      // A run whose shards are on their way is neither done nor tried again.
      if (!(error instanceof WaitingChildrenError)) ended(outcomeOf(job, error), codeOf(error));
      throw error;
    } finally {
      activity.jobEnded(job.id);
    }
  };
}

/** As much of any job's data as tells what it is about. */
const jobDataSchema = z.object({
  shard: z.number().int().nonnegative().optional().catch(undefined),
  epoch: z.number().int().min(1).optional().catch(undefined),
  items: z.number().int().nonnegative().optional().catch(undefined),
});

/** @internal What is told of a job, before it is known whether its data can be read. */
export function describeJob(
  queue: QueueName,
  { id = '', data }: Pick<Job<unknown>, 'id' | 'data'>,
  since: Date,
): CurrentJob {
  const { shard, epoch, items } = jobDataSchema.catch({}).parse(data);
  return {
    queue,
    jobId: id,
    run: runOfJobId(id),
    shard: shard ?? null,
    epoch: epoch ?? null,
    itemsDone: 0,
    items: items ?? null,
    since: since.toISOString(),
  };
}

function isHandedBack(error: unknown): boolean {
  return error instanceof WaitingError || error instanceof DelayedError;
}

function outcomeOf(job: Job, error: unknown): JobOutcome {
  if (isHandedBack(error)) return 'handed_back';
  return willNotBeTriedAgain(job, error) ? 'failed' : 'retried';
}

function codeOf(error: unknown): ErrorCode | null {
  if (isHandedBack(error)) return null;
  return asImagemillError(error instanceof Error ? (error.cause ?? error) : error).code;
}
