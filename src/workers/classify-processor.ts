import { randomBytes } from 'node:crypto';
import type { Job, Processor } from 'bullmq';
import { ImagemillError } from '../contract/errors.ts';
import { classifyJob, type ShardProgress } from '../contract/jobs.ts';
import { commitDocument, type Commit } from '../contract/ledger.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ComputeHost } from './compute/compute-host.ts';
import { endJob } from './job-outcome.ts';
import type { RunCache } from './run-cache.ts';

const TOKEN_BYTES = 10;
const PROGRESS_INTERVAL_MS = 1_000;

export interface ClassifyProcessorOptions {
  readonly compute: ComputeHost;
  readonly runs: RunCache;
  /** Name of this worker, kept in commits. */
  readonly workerName: string;
  readonly logger: Logger;
}

/** Processor of the queue `classify`: parse → run → commit → map the fault. */
export function createClassifyProcessor(
  options: ClassifyProcessorOptions,
): Processor<unknown, ShardProgress> {
  return async (job, token, signal) => {
    try {
      return await classifyJobShard(job, signal ?? new AbortController().signal, options);
    } catch (error) {
      options.logger.warn({ job: job.id, err: error }, 'shard attempt ended early');
      return endJob(job, token, signal, error);
    }
  };
}

async function classifyJobShard(
  job: Job,
  signal: AbortSignal,
  { compute, runs, workerName, logger }: ClassifyProcessorOptions,
): Promise<ShardProgress> {
  const payload = classifyJob.parse(job.data, `job ${job.id}`);
  const { run, ledger } = await runs.open(payload.out);
  const earlier = await ledger.findCommit(payload.shard);
  if (earlier !== null) return progressOf(earlier);
  if (await ledger.isCancelled()) {
    throw new ImagemillError('RUN_CANCELLED', `run ${run.run} was cancelled before shard ${payload.shard}`);
  }

  const token = randomBytes(TOKEN_BYTES).toString('hex');
  const part = await compute.classify(
    { out: payload.out, shard: payload.shard, token },
    { signal, onProgress: throttledProgress(job) },
  );
  const commit: Commit = {
    schema: commitDocument.id,
    run: run.run,
    shard: payload.shard,
    token,
    worker: workerName,
    committedAt: new Date().toISOString(),
    ...part,
  };
  const standing = await ledger.commit(commit);
  if (standing.token !== token) await removeLostPart(ledger, commit, logger);
  logger.info(
    {
      run: run.run,
      shard: payload.shard,
      items: part.items,
      seconds: part.seconds,
      won: standing.token === token,
    },
    'shard done',
  );
  return progressOf(standing);
}

/** A part that lost its race is nobody's: no commit names it, and its key carries a token only we know. */
async function removeLostPart(ledger: RunLedger, commit: Commit, logger: Logger): Promise<void> {
  try {
    await ledger.store.delete(commit.part.key);
    if (commit.errors !== null) await ledger.store.delete(commit.errors.key);
  } catch (error) {
    logger.warn({ err: error, key: commit.part.key }, 'a part that lost its race could not be removed');
  }
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
