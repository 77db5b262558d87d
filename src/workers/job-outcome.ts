import { UnrecoverableError, WaitingError, type Job } from 'bullmq';
import { asImagemillError, ImagemillError } from '../contract/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Reason of the abort signal when a worker stops. */
export const SHUTDOWN_REASON = 'shutdown';

/** Reason where a run was cancelled while it was worked on. */
export const CANCELLED_REASON = 'the run was cancelled';

/** Reason of the abort signal when the job's lock could not be renewed, so that another worker may hold it. */
export const LOCK_LOST_REASON = 'lock lost';

/** A full disk or bucket waits for a person, who has to be told before the pauses between attempts grow to minutes. */
const FULL_STORE_ATTEMPTS = 3;

/** Whether the job's worker is stopping, so that whatever has ended the attempt is no fault. */
function isStopping(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && abortReason(signal) === SHUTDOWN_REASON;
}

/** Why an attempt ended early: SHUTDOWN where its worker is stopping, whatever that has made of it. */
export function faultOf(error: unknown, signal: AbortSignal | undefined): ImagemillError {
  if (!isStopping(signal)) return asImagemillError(error);
  return new ImagemillError('SHUTDOWN', 'the worker is stopping', { cause: error });
}

/** Says that an attempt at something ended early. */
export function logEarlyEnd(
  logger: Logger,
  attempted: 'plan' | 'shard' | 'epoch',
  error: unknown,
  signal: AbortSignal | undefined,
): void {
  const { code } = faultOf(error, signal);
  if (code === 'SHUTDOWN') logger.info({ code }, `${attempted} handed back: the worker is stopping`);
  else logger.warn({ code, err: error }, `${attempted} attempt ended early`);
}

/** Whether nothing will be tried again by itself after this fault. */
export function isFinal(
  job: Pick<Job, 'attemptsMade' | 'opts'>,
  fault: ImagemillError,
  signal: AbortSignal,
): boolean {
  return !signal.aborted && (!fault.retryable || isLastAttempt(job, fault));
}

/**
 * Ends a job after a fault, the way BullMQ understands it. Never returns.
 * A stopping worker hands the job back without using an attempt; what cannot succeed later is not tried again.
 */
export async function endJob(
  job: Job,
  token: string | undefined,
  signal: AbortSignal | undefined,
  error: unknown,
): Promise<never> {
  const fault = faultOf(error, signal);
  if (fault.code === 'SHUTDOWN') {
    await job.moveToWait(token);
    throw new WaitingError();
  }
  const message = `${fault.code}: ${fault.message}`;
  const isHopeless = !fault.retryable && abortReason(signal) !== LOCK_LOST_REASON;
  const isFull = fault.code === 'STORE_FULL' && isLastAttempt(job, fault);
  if (isHopeless || isFull) throw Object.assign(new UnrecoverableError(message), { cause: fault });
  throw new Error(message, { cause: fault });
}

/** Whether a job that failed like this will not be tried again by itself. */
function isLastAttempt(job: Pick<Job, 'attemptsMade' | 'opts'>, { code }: ImagemillError): boolean {
  const attempts = job.opts.attempts ?? 1;
  return job.attemptsMade + 1 >= (code === 'STORE_FULL' ? Math.min(attempts, FULL_STORE_ATTEMPTS) : attempts);
}

/** Whether the queue gives a job up that ended with this error of {@link endJob}. */
export function willNotBeTriedAgain(job: Pick<Job, 'attemptsMade' | 'opts'>, error: unknown): boolean {
  return error instanceof UnrecoverableError || job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
}

function abortReason(signal: AbortSignal | undefined): string {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason.message : String(reason);
}
