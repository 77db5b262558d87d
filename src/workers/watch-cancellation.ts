import { ImagemillError } from '../contract/errors.ts';
import { CANCELLED_REASON } from './job-outcome.ts';
import type { RunCache } from './run-cache.ts';

/** How often the tombstone of a run in progress is looked for. */
const INTERVAL_MS = 1_000;

/** A signal that follows a job's own and, while the job is worked on, the tombstone of its run. */
export function watchCancellation(
  runs: Pick<RunCache, 'isCancelled'>,
  out: string,
  jobSignal: AbortSignal,
): { readonly signal: AbortSignal; readonly end: () => void } {
  const cancelled = new AbortController();
  let asking = false;
  const look = async (): Promise<void> => {
    // A store that is slow to answer is not asked again meanwhile.
    if (asking) return;
    asking = true;
    try {
      if (await runs.isCancelled(out)) {
        cancelled.abort(new ImagemillError('RUN_CANCELLED', CANCELLED_REASON));
      }
    } catch {
      // The attempt itself has to do with the store, and says what is wrong with it.
    } finally {
      asking = false;
    }
  };
  const timer = setInterval(() => void look(), INTERVAL_MS);
  timer.unref();
  return {
    signal: AbortSignal.any([jobSignal, cancelled.signal]),
    end: () => clearInterval(timer),
  };
}
