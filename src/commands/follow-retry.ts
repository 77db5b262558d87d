import type { Run } from '../contract/run.ts';
import type { SubmittedRetry } from '../producer/submit-retry.ts';
import { readMergedSummary } from '../storage/generations.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { runToEnd, type RunOptions } from './classify.ts';
import type { Context } from './context.ts';
import { describeRun, runReport } from './print.ts';

/** Puts the nested run of a generation on the queue, and reports of the run it retries. @returns the exit code */
export function followRetry(
  context: Context,
  retried: { readonly run: Run; readonly ledger: RunLedger },
  { run, ledger, generation }: SubmittedRetry,
  options: Omit<RunOptions, 'report'>,
): Promise<number> {
  return runToEnd(context, run, ledger, {
    ...options,
    report: async () => {
      await reportRetried(context, retried, { generation, nested: run.run, json: options.json });
      return true;
    },
  });
}

/**
 * Prints a finished run with its complete generations.
 * @param retry the generation that was worked at last, and its nested run, where there is one
 */
export async function reportRetried(
  context: Context,
  { run, ledger }: { readonly run: Run; readonly ledger: RunLedger },
  { generation, nested, json }: { generation?: number; nested: string | null; json: boolean },
): Promise<void> {
  const summary = await readMergedSummary(ledger, run);
  if (json) {
    const report = runReport(run, ledger.out, 'done', summary);
    context.stdout.write(
      `${JSON.stringify({ ...report, generation: generation ?? summary.generations, nested })}\n`,
    );
    return;
  }
  const isPending = generation !== undefined && generation > summary.generations;
  context.stdout.write(
    [
      describeRun(run, ledger.out, 'done', summary),
      ...(isPending ? [`next:   imagemill status ${nested}`] : []),
      ...(nested === null ? ['no errors are left to retry'] : []),
    ].join('\n') + '\n',
  );
}
