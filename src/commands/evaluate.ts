import { ulid } from 'ulid';
import type { Split } from '../contract/dataset.ts';
import type { RunState } from '../contract/run.ts';
import { readEvaluation, type Evaluation } from '../pipeline/finish-evaluate.ts';
import { submitEvaluate } from '../producer/submit-evaluate.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { runToEnd } from './classify.ts';
import type { Context } from './context.ts';
import { number, percent, textOf } from './print.ts';
import { openSubmission } from './submission.ts';
import { submittedByUser } from './submitted-by.ts';
import { checkQueues } from './with-queues.ts';

/** Classes named on the terminal; the file has all. */
const WORST_CLASSES_SHOWN = 5;

export interface EvaluateOptions {
  readonly model: string;
  readonly out?: string;
  readonly split: Split;
  readonly crops: 1 | 10;
  readonly batchSize?: number;
  readonly priority: number;
  readonly json: boolean;
  readonly device: string;
  readonly engine: string;
}

/** `imagemill evaluate DATASET --model M`. @returns the exit code */
export async function evaluate(context: Context, dataset: string, options: EvaluateOptions): Promise<number> {
  await checkQueues(context);
  const submission = openSubmission('evaluate');
  const request = {
    dataset,
    split: options.split,
    model: options.model,
    out: options.out ?? `${context.settings.home.replace(/\/$/, '')}/evaluations/${ulid()}/`,
    crops: options.crops,
    batchSize: options.batchSize ?? context.settings.worker.batchSize,
    submittedBy: submittedByUser(),
  };
  const { run, ledger } = await submission.during(() =>
    submitEvaluate(request, context.resolver, context.index),
  );
  return runToEnd(context, run, ledger, {
    ...options,
    submission,
    wait: true,
    report: (state) => reportEvaluation(context, ledger, state, options.json),
  });
}

/** Prints the evaluation of a finished run. @returns false where the run is not finished */
export async function reportEvaluation(
  context: Context,
  ledger: RunLedger,
  state: RunState,
  json: boolean,
): Promise<boolean> {
  if (state !== 'done') return false;
  const evaluation = await readEvaluation(ledger);
  context.stdout.write(
    json
      ? `${JSON.stringify(evaluationReport(evaluation, ledger.out))}\n`
      : `${describeEvaluation(evaluation, ledger.out)}\n`,
  );
  return true;
}

/** The document `evaluate --json` prints. Fields may be added, never renamed. */
export function evaluationReport(evaluation: Evaluation, out: string): Record<string, unknown> {
  const { items, top1Error, top5Error, crops, calibrationError, unknownLabel, unreadable, run } = evaluation;
  return {
    items,
    top1Error,
    top5Error,
    crops,
    calibrationError,
    unknownLabel,
    unreadable,
    run,
    out,
    model: evaluation.model,
    split: evaluation.split,
    confusion: evaluation.confusion === null ? null : `${out}${ledgerKeys.confusion}`,
    details: `${out}${ledgerKeys.evaluation}`,
  };
}

/** The same for a person, a few lines. */
function describeEvaluation(evaluation: Evaluation, out: string): string {
  return textOf([...evaluationLines(evaluation), `out:    ${out}`]);
}

export function evaluationLines(evaluation: Evaluation): string[] {
  const { items, top1Error, top5Error, crops, calibrationError, unreadable } = evaluation;
  const worst = evaluation.perClass
    .filter(({ accuracy }) => accuracy !== null && accuracy < 1)
    .toSorted((a, b) => (a.accuracy ?? 0) - (b.accuracy ?? 0))
    .slice(0, WORST_CLASSES_SHOWN)
    .map(({ label, accuracy }) => `${label} ${percent(accuracy ?? 0)}`);
  const share = (value: number | null) => (value === null ? 'none' : percent(value));
  return [
    `${number(items)} images, ${crops === 1 ? 'centre crop' : '10 crops'}: top-1 error ${share(top1Error)}, top-5 error ${share(top5Error)}, calibration error ${share(calibrationError)}`,
    ...(unreadable === 0 ? [] : [`${number(unreadable)} images could not be read`]),
    ...(worst.length === 0 ? [] : [`lowest accuracy: ${worst.join(', ')}`]),
  ];
}
