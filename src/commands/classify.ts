import { EXIT, ImagemillError } from '../contract/errors.ts';
import { PRIORITY_DEFAULT } from '../contract/queues.ts';
import type { PartFormat } from '../contract/rows.ts';
import type { Run, RunState } from '../contract/run.ts';
import { enqueueRun } from '../producer/enqueue-run.ts';
import { submitClassify } from '../producer/submit-classify.ts';
import { followRun } from '../queue/follow-run.ts';
import { completeGeneration, readMergedSummary } from '../storage/generations.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { summarise } from '../storage/summarise-run.ts';
import { printableLine } from '../telemetry/printable.ts';
import type { OpenSpan } from '../telemetry/spans.ts';
import type { Context } from './context.ts';
import { describeRun, runReport } from './print.ts';
import { ProgressLine } from './progress-line.ts';
import { openSubmission } from './submission.ts';
import { submittedByUser } from './submitted-by.ts';
import { checkQueues, withQueues } from './with-queues.ts';

export interface ClassifyOptions {
  readonly model: string;
  readonly labels?: string;
  readonly out: string;
  readonly topK: number;
  readonly crops: 1 | 10;
  readonly shardSize: number;
  readonly batchSize?: number;
  readonly format: PartFormat;
  readonly embeddings: boolean;
  readonly include: string[];
  readonly exclude: string[];
  readonly limit?: number;
  readonly priority: number;
  readonly new: boolean;
  readonly wait: boolean;
  readonly json: boolean;
  readonly device: string;
  readonly engine: string;
}

/** `imagemill classify SOURCE --model M --out OUT`. @returns the exit code */
export async function classify(context: Context, source: string, options: ClassifyOptions): Promise<number> {
  await checkQueues(context);
  if (!options.wait && context.settings.redisUrl === undefined) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL with --no-wait: without it the worker ends with this command',
    );
  }
  const submission = openSubmission('classify');
  const { run, ledger, created } = await submission.during(() =>
    submitClassify(requestOf(context, source, options), context.resolver, context.index),
  );
  if (!created && !options.json) {
    context.stderr.write(`${run.run} is this very run: going on with it (--new starts another)\n`);
  }
  return runToEnd(context, run, ledger, { ...options, submission });
}

function requestOf(
  { settings }: Context,
  source: string,
  options: ClassifyOptions,
): Parameters<typeof submitClassify>[0] {
  return {
    source: {
      uri: source,
      include: options.include,
      exclude: options.exclude,
      ...(options.limit === undefined ? {} : { limit: options.limit }),
    },
    model: options.model,
    labels: options.labels,
    out: options.out,
    topK: options.topK,
    crops: options.crops,
    shardSize: options.shardSize,
    batchSize: options.batchSize ?? settings.worker.batchSize,
    format: options.format,
    embeddings: options.embeddings,
    fresh: options.new,
    submittedBy: submittedByUser(),
  };
}

export type RunOptions = Pick<ClassifyOptions, 'wait' | 'json' | 'device' | 'engine'> & {
  readonly priority?: number;
  /** Tells of the run, in place of how many images it labelled. @returns false where there is nothing to tell yet */
  readonly report?: (state: RunState) => Promise<boolean>;
  /** The span of the submission that is under way; undefined where it begins here. */
  readonly submission?: OpenSpan;
};

/** Puts a run on the queue, waits for its end unless told otherwise, and reports. @returns the exit code */
export async function runToEnd(
  context: Context,
  run: Run,
  ledger: RunLedger,
  options: RunOptions,
): Promise<number> {
  const line = new ProgressLine(context.stderr);
  let state = await ledger.state();
  let failedReason: string | undefined;
  const submission = options.submission ?? openSubmission(run.spec.kind);
  submission.set({ 'imagemill.run': run.run });
  try {
    if (state !== 'done') {
      state = await withQueues(context, options, async (queues) => {
        const priority = options.priority ?? PRIORITY_DEFAULT[run.spec.kind];
        const planJob = await submission.during(() => enqueueRun(ledger, run, queues, { priority }));
        submission.end();
        if (!options.wait) return ledger.state();
        const before = await summarise(ledger, run);
        return followRun(
          {
            ledger,
            run: run.run,
            queues,
            planJob,
            shardQueue: run.spec.kind === 'prepare' ? 'prepare' : 'classify',
            onFailure: (reason) => (failedReason = reason),
          },
          { items: before.items, errors: before.errors },
          (progress) => line.update(progress),
          context.interrupted,
        );
      });
    }
  } catch (error) {
    if (!context.interrupted.aborted) throw error;
    line.end();
    const goesOn = context.settings.redisUrl !== undefined;
    context.stderr.write(
      goesOn
        ? `${run.run} goes on without this command: imagemill status ${run.run}\n`
        : `${run.run} stopped; nothing that is committed is lost: imagemill resume ${run.run}\n`,
    );
    return EXIT.interrupted;
  } finally {
    line.end();
    submission.end();
  }
  return report(context, run, ledger, state, { ...options, failedReason });
}

async function report(
  context: Context,
  run: Run,
  ledger: RunLedger,
  state: RunState,
  options: Pick<RunOptions, 'wait' | 'json' | 'report'> & { readonly failedReason: string | undefined },
): Promise<number> {
  // The worker does this as well, unless it died just before.
  if (state === 'done') await completeGeneration(ledger, run, context.resolver);
  const summary = await readMergedSummary(ledger, run);
  const isTold = (await options.report?.(state)) ?? false;
  if (!isTold) {
    context.stdout.write(
      options.json
        ? `${JSON.stringify(runReport(run, ledger.out, state, summary))}\n`
        : `${describeRun(run, ledger.out, state, summary)}\n`,
    );
  }
  if (!options.wait) return EXIT.done;
  if (state !== 'done') {
    const failure = await ledger.findFailure();
    const reason =
      failure === null
        ? (options.failedReason ?? `run ${run.run} ended as ${state}`)
        : `${failure.code}: ${failure.message}`;
    context.stderr.write(`imagemill: ${printableLine(reason)}\n`);
    return EXIT.failed;
  }
  return summary.errors > 0 ? EXIT.itemErrors : EXIT.done;
}
