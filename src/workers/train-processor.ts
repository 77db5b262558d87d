import type { Job, Processor } from 'bullmq';
import { asImagemillError, ImagemillError } from '../contract/errors.ts';
import { trainJob, type TrainJob } from '../contract/jobs.ts';
import { isTrainRun, type TrainRun } from '../contract/run.ts';
import {
  epochCommitDocument,
  stepCommitDocument,
  type EpochCommit,
  type TrainProgress,
} from '../contract/training.ts';
import type { EpochDraft, StepDraft } from '../pipeline/training/epoch-task.ts';
import { decidingError } from '../pipeline/training/deciding-error.ts';
import type { Queues } from '../queue/queues.ts';
import { originOf } from '../queue/telemetry.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { TrainingLedger } from '../storage/training-ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import { traceparent, withSpan, type OpenSpan } from '../telemetry/spans.ts';
import type { ComputeHost } from './compute/compute-host.ts';
import type { DeviceTurns } from './device-turns.ts';
import { finishEpoch } from './finish-epoch.ts';
import { writeRunFailure } from './finish-run.ts';
import { jobLogger } from './job-logger.ts';
import { endJob, faultOf, isFinal, logEarlyEnd } from './job-outcome.ts';
import { pruneSteps } from './prune-checkpoints.ts';
import type { RunCache } from './run-cache.ts';
import { newToken } from './token.ts';
import { watchCancellation } from './watch-cancellation.ts';
import { EpochTally, type EpochObserver } from './epoch-tally.ts';

const PROGRESS_INTERVAL_MS = 1_000;

export interface TrainProcessorOptions {
  readonly compute: Pick<ComputeHost, 'run' | 'pause' | 'resume'>;
  readonly runs: RunCache;
  readonly queues: Pick<Queues, 'addEpochJob'>;
  /** Who has the device; undefined where this worker does not label. */
  readonly turns: Pick<DeviceTurns, 'train'> | undefined;
  readonly attempts: number;
  readonly workerName: string;
  /** Hears how far epochs are, and what became of them. */
  readonly activity: EpochObserver;
  readonly logger: Logger;
}

/** What an epoch's job returns. */
export interface EpochOutcome {
  readonly epoch: number;
  readonly top1Error: number;
}

interface Epoch {
  readonly job: Job;
  readonly payload: TrainJob;
  readonly run: TrainRun;
  readonly ledger: RunLedger;
  readonly training: TrainingLedger;
}

/** Processor of the queue `train`: one epoch; the next is enqueued when this one's checkpoint is committed. */
export function createTrainProcessor(options: TrainProcessorOptions): Processor<unknown, EpochOutcome> {
  return async (job, token, signal) => {
    const stop = signal ?? new AbortController().signal;
    const attempt = newToken();
    const logger = jobLogger(options.logger, job).child({ token: attempt });
    try {
      return await withSpan(
        'imagemill epoch',
        { 'imagemill.token': attempt, 'imagemill.worker': options.workerName },
        (span) => processEpoch(job, stop, { ...options, logger, span, token: attempt }),
        { origin: originOf(job.opts), faultOf: (error) => faultOf(error, stop) },
      );
    } catch (error) {
      await recordFailure(job, stop, error, { ...options, logger });
      return endJob(job, token, signal, error);
    }
  };
}

interface EpochContext extends TrainProcessorOptions {
  readonly span: OpenSpan;
  /** Of this attempt. */
  readonly token: string;
}

async function processEpoch(job: Job, signal: AbortSignal, options: EpochContext): Promise<EpochOutcome> {
  const payload = trainJob.parse(job.data, `job ${job.id}`);
  const { compute, turns, runs, span, token } = options;
  span.set({ 'imagemill.run': payload.run, 'imagemill.epoch': payload.epoch });
  const cancellation = watchCancellation(runs, payload.out, signal);
  const work = async (): Promise<EpochOutcome> => {
    const epoch = await openEpoch(job, payload, options);
    const earlier = await epoch.training.findEpoch(payload.epoch);
    if (earlier !== null) options.activity.epochEnded('skipped');
    const commit = earlier ?? (await trainAndCommit(epoch, cancellation.signal, options));
    await goOn(epoch, commit, cancellation.signal, options);
    return { epoch: commit.epoch, top1Error: decidingError(commit) };
  };
  try {
    if (turns === undefined) return await work();
    const pausable = { pause: () => compute.pause(token), resume: () => compute.resume(token) };
    return await turns.train(payload.priority, pausable, cancellation.signal, work);
  } finally {
    cancellation.end();
  }
}

async function openEpoch(job: Job, payload: TrainJob, { runs }: TrainProcessorOptions): Promise<Epoch> {
  const { run, ledger } = await runs.open(payload.out);
  if (!isTrainRun(run)) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `run ${run.run}: expected a training run, got a ${run.spec.kind} run`,
    );
  }
  if (await runs.isCancelled(payload.out)) {
    throw new ImagemillError('RUN_CANCELLED', `run ${run.run} was cancelled before epoch ${payload.epoch}`);
  }
  return { job, payload, run, ledger, training: new TrainingLedger(ledger.store) };
}

/** What follows a committed epoch, up to the next one's job. */
async function goOn(
  { job, payload, run, ledger, training }: Epoch,
  commit: EpochCommit,
  signal: AbortSignal,
  { compute, queues, attempts, logger }: EpochContext,
): Promise<void> {
  const publish = async (checkpoint: string, models: readonly string[]): Promise<string> => {
    const task = { out: payload.out, checkpoint, models, token: newToken() };
    return (await compute.run('publish', task, { signal, onProgress: () => {} })).digest;
  };
  const next = await finishEpoch(ledger, training, run, commit, publish);
  if (next === null) return logEnd(training, logger);
  if (await ledger.isCancelled()) return;
  const { generation, priority, out } = payload;
  // A trace of its own: training may last for days. All epochs go back to the one that a submission has enqueued.
  const origin = originOf(job.opts) ?? traceparent();
  await queues.addEpochJob({ run: run.run, out, epoch: next, generation, priority }, attempts, 0, origin);
}

/** Whoever comes late, with an epoch that others have followed already, has not ended the run. */
async function logEnd(training: TrainingLedger, logger: Logger): Promise<void> {
  const summary = await training.findSummary();
  if (summary === null) return;
  const { epochs, items, seconds } = summary;
  const { top1Error } = summary.best;
  logger.info({ kind: 'train', epochs, items, seconds, top1Error }, 'run done');
}

async function trainAndCommit(
  epoch: Epoch,
  signal: AbortSignal,
  options: EpochContext,
): Promise<EpochCommit> {
  const { job, payload, run, training } = epoch;
  const { token } = options;
  const task = { out: payload.out, epoch: payload.epoch, token };
  const before = (await training.steps(payload.epoch)).at(-1);
  const tally = new EpochTally(options.activity, job.id, run.spec.recipe.batchSize, before);
  const report = throttledProgress(job);
  try {
    const draft = await withSpan('attempt', { 'imagemill.token': token }, () =>
      options.compute.run('train', task, {
        signal,
        onProgress: (progress) => {
          tally.progress(progress);
          report(progress);
        },
        onStep: (step) => commitStep(epoch, step, tally, options),
      }),
    );
    return await commitEpoch(epoch, draft, tally, options);
  } catch (error) {
    // Another attempt may have committed the epoch, and removed the checkpoint that this one was to start from.
    const standing = signal.aborted ? null : await training.findEpoch(payload.epoch).catch(() => null);
    if (standing === null) throw error;
    // Ours may stand already, where what came after it failed.
    if (standing.token !== token) options.activity.epochEnded('lost_race');
    const { code } = asImagemillError(error);
    options.logger.warn({ code, err: error }, 'the epoch was committed by another attempt meanwhile');
    return standing;
  }
}

async function commitStep(
  { run, training }: Epoch,
  draft: StepDraft,
  tally: EpochTally,
  { workerName, logger, token }: EpochContext,
): Promise<void> {
  const standing = await training.commitStep({
    schema: stepCommitDocument.id,
    run: run.run,
    token,
    worker: workerName,
    committedAt: new Date().toISOString(),
    ...draft,
  });
  tally.step(draft, standing.token === token);
  if (standing.token !== token) {
    // Another attempt came first with, by construction, the same state: ours is superfluous.
    await removeQuietly(training, [draft.checkpoint.key, draft.metrics.key], logger);
    return;
  }
  await pruneSteps(training, draft.epoch, draft.step, logger);
}

async function commitEpoch(
  { run, training }: Epoch,
  draft: EpochDraft,
  tally: EpochTally,
  { workerName, logger, span, token }: EpochContext,
): Promise<EpochCommit> {
  const standing = await withSpan('commit', { 'imagemill.token': token }, async (commitSpan) => {
    const stands = await training.commitEpoch({
      schema: epochCommitDocument.id,
      run: run.run,
      token,
      worker: workerName,
      committedAt: new Date().toISOString(),
      ...draft,
    });
    commitSpan.set({ 'imagemill.won': stands.token === token });
    return stands;
  });
  const won = standing.token === token;
  tally.epoch(draft, won);
  if (!won) {
    await removeQuietly(training, [draft.checkpoint.key, draft.metrics.key], logger);
  }
  await pruneSteps(training, draft.epoch, Number.POSITIVE_INFINITY, logger);
  const { items, loss, top1Error } = draft.train;
  span.set({ 'imagemill.items': items, 'imagemill.loss': loss, 'imagemill.won': won });
  logger.info({ items, loss, top1Error, seconds: draft.seconds, won }, 'epoch done');
  return standing;
}

/** Keys carry a token only we know, so nothing else can be lost; what stays behind does no harm. */
async function removeQuietly(
  { store }: TrainingLedger,
  keys: readonly string[],
  logger: Logger,
): Promise<void> {
  for (const key of keys) {
    await store.delete(key).catch((error: unknown) => {
      logger.warn({ err: error, key }, 'an object that lost its race could not be removed');
    });
  }
}

/** An epoch that will not be tried again leaves its reason in the ledger, where everyone looks. */
async function recordFailure(
  job: Job,
  signal: AbortSignal,
  error: unknown,
  { runs, logger }: TrainProcessorOptions,
): Promise<void> {
  const fault = asImagemillError(error);
  if (fault.code === 'RUN_CANCELLED') {
    logger.info({ code: fault.code }, 'epoch stopped: its run was cancelled');
    return;
  }
  if (!isFinal(job, fault, signal)) {
    logEarlyEnd(logger, 'epoch', error, signal);
    return;
  }
  logger.error({ code: fault.code, err: error }, 'run failed');
  try {
    const { run, ledger } = await runs.open(trainJob.parse(job.data, `job ${job.id}`).out);
    await writeRunFailure(ledger, run, fault);
  } catch {
    // The ledger may be the very thing that cannot be reached; the job's own failure tells the rest.
  }
}

/** Every update is a Redis transaction and an event to every watcher: one a second is enough for a person. */
function throttledProgress(job: Job): (progress: TrainProgress) => void {
  let sentAtMs = 0;
  return (progress) => {
    const now = Date.now();
    if (now - sentAtMs < PROGRESS_INTERVAL_MS) return;
    sentAtMs = now;
    // Progress is a hint; a Redis that is away for a moment must not end the epoch.
    job.updateProgress(progress).catch(() => {});
  };
}
