import { EXIT } from '../contract/errors.ts';
import { isTrainRun, type RunState } from '../contract/run.ts';
import { cancelRun } from '../producer/cancel-run.ts';
import { findRetry } from '../producer/submit-retry.ts';
import { runToEnd, type RunOptions } from './classify.ts';
import type { Context } from './context.ts';
import { reportEvaluation } from './evaluate.ts';
import { followRetry } from './follow-retry.ts';
import { reportPrepare } from './prepare.ts';
import { trainToEnd } from './train.ts';

/** `imagemill resume RUN`: puts a run on the queue again from its ledger; what is committed is not repeated. */
export async function resume(
  context: Context,
  reference: string,
  options: Omit<RunOptions, 'report'>,
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  if (isTrainRun(run)) return trainToEnd(context, run, ledger, options);
  // A finished run has nothing to resume but a retry of its errors that was begun.
  const begun = (await ledger.state()) === 'done' ? await findRetry(ledger, context.resolver) : null;
  if (begun !== null) return followRetry(context, { run, ledger }, begun, options);
  const reports = {
    classify: {},
    evaluate: { report: (state: RunState) => reportEvaluation(context, ledger, state, options.json) },
    prepare: { report: () => reportPrepare(context, run, ledger, options) },
    train: {},
  };
  return runToEnd(context, run, ledger, { ...options, ...reports[run.spec.kind] });
}

/** `imagemill cancel RUN`: writes the tombstone that workers look for; of a finished run that of its retry in progress. */
export async function cancel(context: Context, reference: string): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const cancelled = await cancelRun(ledger, run, context.resolver);
  context.stdout.write(cancelled === null ? `${run.run} is done already\n` : `${cancelled} cancelled\n`);
  return EXIT.done;
}
