import { EXIT, ImagemillError } from '../contract/errors.ts';
import { submitRetry } from '../producer/submit-retry.ts';
import type { RunOptions } from './classify.ts';
import type { Context } from './context.ts';
import { followRetry, reportRetried } from './follow-retry.ts';
import { resume } from './resume.ts';
import { openSubmission } from './submission.ts';
import { submittedByUser } from './submitted-by.ts';
import { checkQueues } from './with-queues.ts';

export type RetryOptions = Omit<RunOptions, 'report'> & {
  /** Label the error items of a finished run again, in place of shards that have no result. */
  readonly failed: boolean;
};

/**
 * `imagemill retry RUN [--failed]`: puts shards without a commit on the queue again, or labels the error items of a
 * finished run again, as a new generation. @returns the exit code
 */
export async function retry(context: Context, reference: string, options: RetryOptions): Promise<number> {
  if (!options.failed) return resume(context, reference, options);
  await checkQueues(context);
  if (!options.wait && context.settings.redisUrl === undefined) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL with --no-wait: without it the worker ends with this command',
    );
  }
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const submission = openSubmission(run.spec.kind);
  const submitted = await submission.during(() =>
    submitRetry(run, ledger, context.resolver, context.index, new Date(), { submittedBy: submittedByUser() }),
  );
  if (submitted !== null) return followRetry(context, { run, ledger }, submitted, { ...options, submission });
  submission.end();
  await reportRetried(context, { run, ledger }, { nested: null, json: options.json });
  return EXIT.done;
}
