import { UnrecoverableError, WaitingError, type Job } from 'bullmq';
import { asImagemillError, type ImagemillError } from '../contract/errors.ts';

/** Reason of the abort signal when a worker stops. */
export const SHUTDOWN_REASON = 'shutdown';

/** Reason where a run was cancelled while it was worked on. */
export const CANCELLED_REASON = 'the run was cancelled';

/** Reason of the abort signal when the job's lock could not be renewed, so that another worker may hold it. */
export const LOCK_LOST_REASON = 'lock lost';

/** A full disk or bucket waits for a person, who has to be told before the pauses between attempts grow to minutes. */
const FULL_STORE_ATTEMPTS = 3;

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
  const fault = asImagemillError(error);
  const stopping = signal?.aborted === true && abortReason(signal) === SHUTDOWN_REASON;
  if (stopping || fault.code === 'SHUTDOWN') {
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
export function isLastAttempt(job: Pick<Job, 'attemptsMade' | 'opts'>, { code }: ImagemillError): boolean {
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
