import { UnrecoverableError, WaitingError, type Job } from 'bullmq';
import { asImagemillError } from '../contract/errors.ts';

/** Reason of the abort signal when a worker stops. */
export const SHUTDOWN_REASON = 'shutdown';

/** Reason where a run was cancelled while it was worked on. */
export const CANCELLED_REASON = 'the run was cancelled';

/** Reason of the abort signal when the job's lock could not be renewed, so that another worker may hold it. */
export const LOCK_LOST_REASON = 'lock lost';

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
  if (!fault.retryable && abortReason(signal) !== LOCK_LOST_REASON) throw new UnrecoverableError(message);
  throw new Error(message, { cause: error });
}

function abortReason(signal: AbortSignal | undefined): string {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason.message : String(reason);
}
