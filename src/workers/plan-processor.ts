import { WaitingChildrenError, type Job, type Processor } from 'bullmq';
import { asImagemillError, ImagemillError } from '../contract/errors.ts';
import {
  planJob,
  trainScheduleJob,
  type PlanJob,
  type PlanProgress,
  type TrainScheduleJob,
} from '../contract/jobs.ts';
import { isShardedRun, type ShardedRun } from '../contract/run.ts';
import type { Queues } from '../queue/queues.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { traceparent, withSpan, type OpenSpan } from '../telemetry/spans.ts';
import { finishRun, writeRunFailure } from './finish-run.ts';
import { jobLogger } from './job-logger.ts';
import { endJob, faultOf, isFinal, logEarlyEnd } from './job-outcome.ts';
import type { RunCache } from './run-cache.ts';
import { watchCancellation } from './watch-cancellation.ts';
import type { WorkerActivity } from './worker-activity.ts';

/**
 * Plans a run; injected, because planning belongs to the producer.
 * Yields chunks of planned shards from index `from` on, in order.
 */
export type Planner = (
  ledger: RunLedger,
  run: ShardedRun,
  from: number,
  signal: AbortSignal,
) => AsyncIterable<readonly { readonly shard: number; readonly items: number }[]>;

/** Submits and enqueues a run of a schedule; injected as well. @returns the run's id */
export type ScheduleStarter = (schedule: TrainScheduleJob, queues: Queues) => Promise<string>;

export interface PlanProcessorOptions {
  readonly runs: RunCache;
  readonly queues: Queues;
  readonly planner: Planner;
  readonly startScheduled: ScheduleStarter;
  readonly shardAttempts: number;
  /** Hears how many images are planned. */
  readonly activity: Pick<WorkerActivity, 'jobStandsAt'>;
  readonly logger: Logger;
}

/** Processor of the queue `plan`: plans, waits for the shards' jobs, and writes the summary. */
export function createPlanProcessor(options: PlanProcessorOptions): Processor<unknown, PlanProgress> {
  return async (job, token, signal) => {
    const stop = signal ?? new AbortController().signal;
    const context = { ...options, logger: jobLogger(options.logger, job) };
    const faultHere = (error: unknown) =>
      error instanceof WaitingChildrenError ? null : faultOf(error, stop);
    try {
      if (job.repeatJobKey !== undefined) return await startScheduledRun(job, context);
      return await withSpan(
        'imagemill plan',
        {},
        (span) => plan(job, token ?? '', stop, { ...context, span }),
        { faultOf: faultHere },
      );
    } catch (error) {
      if (error instanceof WaitingChildrenError) throw error;
      await recordFailure(job, stop, error, context);
      return endJob(job, token, signal, error);
    }
  };
}

interface PlanContext extends PlanProcessorOptions {
  readonly span: OpenSpan;
}

/** The time of a schedule has come. */
async function startScheduledRun(
  job: Job,
  { startScheduled, queues, logger }: PlanProcessorOptions,
): Promise<PlanProgress> {
  const schedule = trainScheduleJob.parse(job.data, `job ${job.id}`);
  const run = await withSpan('imagemill submit', { 'imagemill.kind': 'train' }, async (span) => {
    const started = await startScheduled(schedule, queues);
    span.set({ 'imagemill.run': started });
    return started;
  });
  logger.info({ run, out: schedule.out }, 'scheduled run started');
  return { shards: 0, items: 0, complete: true };
}

async function plan(
  job: Job,
  token: string,
  signal: AbortSignal,
  options: PlanContext,
): Promise<PlanProgress> {
  const { runs, logger, span } = options;
  let state = planJob.parse(job.data, `job ${job.id}`);
  span.set({ 'imagemill.run': state.run, 'imagemill.phase': state.phase });
  const { run, ledger } = await runs.open(state.out);
  span.set({ 'imagemill.kind': run.spec.kind });
  if (!isShardedRun(run)) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `run ${run.run}: expected a run with shards, got ${run.spec.kind}`,
    );
  }
  if (state.phase === 'planning') {
    const cancellation = watchCancellation(runs, state.out, signal);
    try {
      state = await planShards(job, state, { run, ledger }, cancellation.signal, options);
    } catch (error) {
      // Its shards' jobs that are on the queue are awaited all the same: each sees the tombstone, and they are gone soon.
      if (signal.aborted || !cancellation.signal.aborted) throw error;
    } finally {
      cancellation.end();
    }
    state = { ...state, phase: 'waiting' };
    span.set({ 'imagemill.shards': state.planned, 'imagemill.items': state.plannedItems });
    await job.updateData(state);
    await job.updateProgress(progressOf(state));
    logger.info({ kind: run.spec.kind, shards: state.planned, items: state.plannedItems }, 'run planned');
    if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
  }
  if (await runs.isCancelled(state.out)) {
    logger.info('run ended: it was cancelled');
    return progressOf(state);
  }
  const { items, errors, seconds } = await finishRun(ledger, run, await failedReasons(job), runs.resolver);
  logger.info({ kind: run.spec.kind, items, errors, seconds }, 'run done');
  return progressOf(state);
}

/** Plans shards and puts their jobs on the queue, from where an earlier attempt ended. @returns how far it came */
async function planShards(
  job: Job,
  state: PlanJob,
  { run, ledger }: { readonly run: ShardedRun; readonly ledger: RunLedger },
  signal: AbortSignal,
  { runs, queues, planner, shardAttempts, activity }: PlanContext,
): Promise<PlanJob> {
  if (await runs.isCancelled(state.out)) return state;
  const committed = await readCommitted(ledger);
  const parent = { id: job.id ?? '', queue: job.queueQualifiedName };
  const kind = run.spec.kind === 'prepare' ? 'prepare' : 'classify';
  for await (const chunk of planner(ledger, run, state.planned, signal)) {
    const jobs = chunk
      .filter(({ shard }) => !committed.has(shard))
      .map(({ shard, items }) => ({ run: run.run, out: state.out, shard, items }));
    const origin = traceparent();
    await queues.addShardJobs(kind, jobs, parent, { ...state, attempts: shardAttempts, origin });
    state = {
      ...state,
      planned: state.planned + chunk.length,
      plannedItems: state.plannedItems + chunk.reduce((sum, { items }) => sum + items, 0),
    };
    activity.jobStandsAt(job.id, state.plannedItems, null);
    await job.updateData(state);
    await job.updateProgress(progressOf(state));
    signal.throwIfAborted();
  }
  return state;
}

async function readCommitted(ledger: RunLedger): Promise<Set<number>> {
  const committed = new Set<number>();
  for await (const shard of ledger.committedShards()) committed.add(shard);
  return committed;
}

/** Why shard jobs failed for good, by shard. */
async function failedReasons(job: Job): Promise<Map<number, string>> {
  const reasons = new Map<number, string>();
  for (const [key, reason] of Object.entries(await job.getIgnoredChildrenFailures())) {
    const shard = /\.(\d{6,8})\.g\d+$/.exec(key)?.[1];
    if (shard !== undefined) reasons.set(Number(shard), reason);
  }
  return reasons;
}

/** A planner that will not be tried again leaves its reason in the ledger, where everyone looks. */
async function recordFailure(
  job: Job,
  signal: AbortSignal,
  error: unknown,
  { runs, logger }: PlanProcessorOptions,
): Promise<void> {
  const fault = asImagemillError(error);
  if (!isFinal(job, fault, signal) || job.repeatJobKey !== undefined) {
    logEarlyEnd(logger, 'plan', error, signal);
    return;
  }
  logger.error({ code: fault.code, err: error }, 'run failed');
  // Whoever found that shards have no result has written so already.
  if (fault.code === 'SHARDS_FAILED') return;
  const state = planJob.parse(job.data, `job ${job.id}`);
  try {
    const { run, ledger } = await runs.open(state.out);
    await writeRunFailure(ledger, run, fault);
  } catch {
    // The ledger may be the very thing that cannot be reached; the job's own failure tells the rest.
  }
}

function progressOf(state: PlanJob): PlanProgress {
  return { shards: state.planned, items: state.plannedItems, complete: state.phase === 'waiting' };
}
