import { DelayedError, type Job, type Processor } from 'bullmq';
import { SPLITS } from '../contract/dataset.ts';
import { classifyJob, prepareJob, type ClassifyJob, type ShardProgress } from '../contract/jobs.ts';
import { commitDocument, type Commit } from '../contract/ledger.ts';
import { isLabelRun, type Run } from '../contract/run.ts';
import { originOf } from '../queue/telemetry.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { withSpan, type OpenSpan } from '../telemetry/spans.ts';
import type { ComputeHost } from './compute/compute-host.ts';
import { tookProcessDown, type AttemptedPart, type IsolatedAttempts } from './isolated-attempt.ts';
import { jobLogger } from './job-logger.ts';
import { endJob, faultOf, logEarlyEnd } from './job-outcome.ts';
import type { RunCache } from './run-cache.ts';
import { newToken } from './token.ts';
import { watchCancellation } from './watch-cancellation.ts';
import type { WorkerActivity } from './worker-activity.ts';
import type { ShardKind } from './worker-metrics.ts';

/** How long a shard that must wait for training stays away. */
const HAND_BACK_MS = 2_000;
const PROGRESS_INTERVAL_MS = 1_000;

/** What a job of a cancelled run returns. */
const NOTHING_DONE: ShardProgress = { items: 0, errors: 0 };

/** What is done to a shard; also the name of its queue. */
export type ShardWork = 'classify' | 'prepare';

const JOBS = { classify: classifyJob, prepare: prepareJob } as const;

export interface ShardProcessorOptions {
  readonly kind: ShardWork;
  readonly compute: ComputeHost;
  /** Where a shard goes whose attempt ended with the compute process. */
  readonly isolated: IsolatedAttempts;
  readonly runs: RunCache;
  /** Whether a shard of this priority may have the device now; it always may where this is undefined. */
  readonly admits?: (priority: number) => boolean;
  /** Name of this worker, kept in commits. */
  readonly workerName: string;
  /** Hears how far shards are, and what became of them. */
  readonly activity: Pick<WorkerActivity, 'jobProgress' | 'shardCommitted' | 'shardUnused'>;
  readonly logger: Logger;
}

/** Processor of a queue of shards: parse → run → commit → map the fault. */
export function createShardProcessor(options: ShardProcessorOptions): Processor<unknown, ShardProgress> {
  return async (job, token, signal) => {
    if (options.admits?.(job.opts.priority ?? 0) === false) await handBack(job, token);
    const logger = jobLogger(options.logger, job);
    const stop = signal ?? new AbortController().signal;
    try {
      return await withSpan(
        'imagemill shard',
        { 'imagemill.kind': options.kind, 'imagemill.worker': options.workerName },
        (span) => processShard(job, stop, { ...options, logger, span }),
        { origin: originOf(job.opts), faultOf: (error) => faultOf(error, stop) },
      );
    } catch (error) {
      logEarlyEnd(logger, 'shard', error, signal);
      return endJob(job, token, signal, error);
    }
  };
}

interface ShardContext extends ShardProcessorOptions {
  readonly span: OpenSpan;
}

/** It came along with more urgent shards; training goes first. No attempt is used. Never returns. */
async function handBack(job: Job, token: string | undefined): Promise<never> {
  await job.moveToDelayed(Date.now() + HAND_BACK_MS, token);
  throw new DelayedError();
}

async function processShard(job: Job, signal: AbortSignal, options: ShardContext): Promise<ShardProgress> {
  const { kind, runs, activity, logger, span } = options;
  const payload = JOBS[kind].parse(job.data, `job ${job.id}`);
  span.set({ 'imagemill.run': payload.run, 'imagemill.shard': payload.shard });
  // A hundred thousand shards of a cancelled run are taken from the queue like this, at thousands a second.
  if (await runs.isCancelled(payload.out)) return NOTHING_DONE;
  const { run, ledger } = await runs.open(payload.out);
  const earlier = await ledger.findCommit(payload.shard);
  if (earlier !== null) {
    activity.shardUnused(kindOf(run, kind), 'skipped');
    return progressOf(earlier);
  }

  const cancellation = watchCancellation(runs, payload.out, signal);
  try {
    const { token, part } = await attempt(job, payload, cancellation.signal, options);
    const standing = await commitPart(job, run, ledger, { shard: payload.shard, token, part }, options);
    return progressOf(standing);
  } catch (error) {
    if (!signal.aborted && cancellation.signal.aborted) {
      logger.info('shard stopped: its run was cancelled');
      return NOTHING_DONE;
    }
    throw error;
  } finally {
    cancellation.end();
  }
}

/** Works on a shard beside others; on its own where the process they share has died. */
async function attempt(
  job: Job,
  { out, shard, items }: ClassifyJob,
  signal: AbortSignal,
  { kind, compute, isolated, activity, logger }: ShardContext,
): Promise<AttemptedPart> {
  const token = newToken();
  const report = throttledProgress(job);
  const onProgress = (progress: ShardProgress): void => {
    activity.jobProgress(job.id, progress.items);
    report(progress);
  };
  try {
    const part = await withSpan('attempt', { 'imagemill.token': token }, () =>
      compute.run(kind, { out, shard, token }, { signal, onProgress }),
    );
    return { token, part };
  } catch (error) {
    if (!tookProcessDown(error)) throw error;
    logger.warn(
      { token, code: error.code, err: error },
      'the compute process is gone: the shard goes on in one of its own',
    );
    return withSpan('attempt', { 'imagemill.isolated': true }, async (span) => {
      const attempted = await isolated.run({ work: kind, out, shard, items, signal, onProgress, logger });
      span.set({ 'imagemill.token': attempted.token });
      return attempted;
    });
  }
}

/** @returns the commit that stands: ours, or that of an attempt that was faster */
async function commitPart(
  job: Job,
  run: Run,
  ledger: RunLedger,
  { shard, token, part }: AttemptedPart & { readonly shard: number },
  { kind, workerName, activity, logger, span }: ShardContext,
): Promise<Commit> {
  const commit: Commit = {
    schema: commitDocument.id,
    run: run.run,
    shard,
    token,
    worker: workerName,
    committedAt: new Date().toISOString(),
    ...part,
  };
  const standing = await withSpan('commit', { 'imagemill.token': token }, async (commitSpan) => {
    const stands = await ledger.commit(commit);
    commitSpan.set({ 'imagemill.won': stands.token === token });
    return stands;
  });
  const won = standing.token === token;
  if (won) activity.shardCommitted(job.id, kindOf(run, kind), part, batchesOf(run, part.items));
  else {
    activity.shardUnused(kindOf(run, kind), 'lost_race');
    await removeLostPart(ledger, commit, logger);
  }
  const { items, errors } = progressOf(commit);
  span.set({
    'imagemill.token': token,
    'imagemill.items': items,
    'imagemill.errors': errors,
    'imagemill.won': won,
  });
  logger.info({ token, items, errors, seconds: part.seconds, won }, 'shard done');
  return standing;
}

/** A part that lost its race is nobody's: no commit names it, and its key carries a token only we know. */
async function removeLostPart(ledger: RunLedger, commit: Commit, logger: Logger): Promise<void> {
  try {
    await ledger.store.delete(commit.part.key);
    if (commit.errors !== null) await ledger.store.delete(commit.errors.key);
    // Of a dataset's tars, only those that carry our token: others may be what another commit names.
    for (const split of SPLITS) {
      await ledger.store.delete(ledgerKeys.datasetIndex(split, commit.shard, commit.token));
      await ledger.store.delete(ledgerKeys.datasetTar(split, commit.shard, commit.token));
    }
  } catch (error) {
    logger.warn({ err: error, key: commit.part.key }, 'a part that lost its race could not be removed');
  }
}

/** Runs that label and runs that evaluate share a queue. */
function kindOf({ spec }: Run, work: ShardWork): ShardKind {
  return spec.kind === 'train' ? work : spec.kind;
}

/** Batches that so many images fill; none where they are not worked on in batches. */
function batchesOf(run: Run, items: number): number {
  return isLabelRun(run) ? Math.ceil(items / run.spec.batchSize) : 0;
}

function progressOf(commit: Commit): ShardProgress {
  return { items: commit.items, errors: commit.items - commit.labelled };
}

/** Every update is a Redis transaction and an event to every watcher: one a second is enough for a person. */
function throttledProgress(job: Job): (progress: ShardProgress) => void {
  let sentAtMs = 0;
  let sentItems = 0;
  return (progress) => {
    const now = Date.now();
    if (now - sentAtMs < PROGRESS_INTERVAL_MS || progress.items === sentItems) return;
    sentAtMs = now;
    sentItems = progress.items;
    // Progress is a hint; a Redis that is away for a moment must not end the shard.
    job.updateProgress(progress).catch(() => {});
  };
}
