import type { ActionAnswer, RunDetail } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { PRIORITY_DEFAULT } from '../../contract/queues.ts';
import { isTrainRun, type Run } from '../../contract/run.ts';
import { cancelRun } from '../../producer/cancel-run.ts';
import { enqueueRun } from '../../producer/enqueue-run.ts';
import { enqueueTrain } from '../../producer/enqueue-train.ts';
import { findRetry, submitRetry } from '../../producer/submit-retry.ts';
import { retriedDirectory } from '../../storage/generations.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';
import { withSpan } from '../../telemetry/spans.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';
import type { Services } from '../services.ts';

/** What may be done to a run in its state. */
export function actionsFor(run: WatchedRun, errors: number): RunDetail['actions'] {
  switch (run.state) {
    case 'planning':
    case 'running':
      return ['cancel', 'resume'];
    case 'failed':
      return ['resume', 'cancel'];
    case 'done':
      // The errors of a generation are those of the run it belongs to.
      return run.entry.kind === 'classify' && errors > 0 && retriedDirectory(run.entry.out) === null
        ? ['retry-failed']
        : [];
    default:
      return [];
  }
}

/** As `imagemill cancel`. @throws ImagemillError RUN_NOT_FOUND, STORE_* */
export async function cancel(watched: WatchedRun, services: Services): Promise<ActionAnswer> {
  const run = await watched.document();
  const cancelled = await cancelRun(watched.ledger, run, services.resolver);
  services.catalogue.touch(run.run);
  await watched.refresh();
  return {
    run: run.run,
    enqueued: null,
    message: cancelled === null ? `${run.run} is done already` : `${cancelled} cancelled`,
  };
}

/** As `imagemill resume --no-wait`. @throws ImagemillError RUN_NOT_FOUND, RUN_CANCELLED, STORE_*, REDIS_* */
export async function resume(
  watched: WatchedRun,
  services: Services,
  priority?: number,
): Promise<ActionAnswer> {
  const { ledger } = watched;
  const run = await watched.document();
  const state = await ledger.state();
  if (state === 'cancelled') {
    throw new ImagemillError(
      'RUN_CANCELLED',
      `expected a run that is not cancelled, got ${run.run}: submit it again as a new run`,
    );
  }
  const begun = state === 'done' ? await findRetry(ledger, services.resolver) : null;
  if (begun !== null) return enqueue(begun.run, begun.ledger, services, { of: run, priority });
  if (state === 'done') {
    return { run: run.run, enqueued: null, message: `${run.run} is done already` };
  }
  return enqueue(run, ledger, services, { of: run, priority });
}

/** As `imagemill retry --failed --no-wait`. @throws ImagemillError USAGE, RUN_NOT_FOUND, STORE_*, REDIS_* */
export async function retryFailed(
  watched: WatchedRun,
  services: Services,
  { submittedBy, priority }: { submittedBy?: string | undefined; priority?: number | undefined } = {},
): Promise<ActionAnswer> {
  const run = await watched.document();
  const { resolver, index } = services;
  const submitted = await submitRetry(run, watched.ledger, resolver, index, new Date(), { submittedBy });
  if (submitted === null) {
    return { run: run.run, enqueued: null, message: 'no errors are left to retry' };
  }
  return enqueue(submitted.run, submitted.ledger, services, { of: run, priority });
}

async function enqueue(
  run: Run,
  ledger: RunLedger,
  { queues, catalogue }: Services,
  { of, priority }: { of: Run; priority: number | undefined },
): Promise<ActionAnswer> {
  const options = { priority: priority ?? PRIORITY_DEFAULT[run.spec.kind] };
  await withSpan('imagemill submit', { 'imagemill.kind': run.spec.kind, 'imagemill.run': run.run }, () =>
    isTrainRun(run) ? enqueueTrain(ledger, run, queues, options) : enqueueRun(ledger, run, queues, options),
  );
  catalogue.touch(run.run);
  catalogue.touch(of.run);
  return { run: of.run, enqueued: run.run, message: `${run.run} is on the queue` };
}
