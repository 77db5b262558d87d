import type { Dataset } from '../contract/dataset.ts';
import { ImagemillError } from '../contract/errors.ts';
import type { Summary } from '../contract/ledger.ts';
import type { PrepareSpec, Run, RunState } from '../contract/run.ts';
import { classesWithout } from '../pipeline/dataset/dataset-facts.ts';
import { findDataset } from '../pipeline/finish-prepare.ts';
import { submitPrepare } from '../producer/submit-prepare.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { summarise } from '../storage/summarise-run.ts';
import { printableLine } from '../telemetry/printable.ts';
import { runToEnd } from './classify.ts';
import type { Context } from './context.ts';
import { duration, number, textOf } from './print.ts';
import { openSubmission } from './submission.ts';
import { submittedByUser } from './submitted-by.ts';
import { checkQueues } from './with-queues.ts';

/** Names of classes in a warning, at most. */
const CLASSES_NAMED_MAX = 5;

export interface PrepareOptions {
  readonly out: string;
  readonly shortSide: number;
  readonly valFraction: number;
  readonly seed: number;
  readonly shardSize: number;
  readonly format: PrepareSpec['encoding'];
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

/** `imagemill prepare SOURCE --out DATASET`. @returns the exit code */
export async function prepare(context: Context, source: string, options: PrepareOptions): Promise<number> {
  await checkQueues(context);
  if (!options.wait && context.settings.redisUrl === undefined) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL with --no-wait: without it the worker ends with this command',
    );
  }
  const submission = openSubmission('prepare');
  const request = {
    source: {
      uri: source,
      include: options.include,
      exclude: options.exclude,
      ...(options.limit === undefined ? {} : { limit: options.limit }),
    },
    out: options.out,
    shardSize: options.shardSize,
    shortSide: options.shortSide,
    encoding: options.format,
    valFraction: options.valFraction,
    seed: options.seed,
    fresh: options.new,
    submittedBy: submittedByUser(),
  };
  const { run, ledger, created } = await submission.during(() =>
    submitPrepare(request, context.resolver, context.index),
  );
  if (!created && !options.json) {
    context.stderr.write(`${run.run} is this very run: going on with it (--new starts another)\n`);
  }
  return runToEnd(context, run, ledger, {
    ...options,
    submission,
    report: () => reportPrepare(context, run, ledger, options),
  });
}

/** Prints what a run has prepared so far, and the dataset of a finished one. @returns true: there is always something */
export async function reportPrepare(
  context: Context,
  run: Run,
  ledger: RunLedger,
  { json }: Pick<PrepareOptions, 'json'>,
): Promise<boolean> {
  const facts = await readPrepareFacts(run, ledger);
  const { dataset } = facts;
  context.stdout.write(json ? `${JSON.stringify(prepareReport(facts))}\n` : `${describePrepare(facts)}\n`);
  const warning = dataset === null ? null : validationWarning(dataset);
  if (warning !== null) context.stderr.write(`imagemill: ${printableLine(warning)}\n`);
  return true;
}

/** What there is to say of a prepare run. */
export interface PrepareFacts {
  readonly run: Run;
  /** The run's directory, which becomes the dataset. */
  readonly out: string;
  readonly state: RunState;
  readonly summary: Summary;
  /** null before the run is done. */
  readonly dataset: Dataset | null;
}

export async function readPrepareFacts(run: Run, ledger: RunLedger): Promise<PrepareFacts> {
  const [state, summary, dataset] = await Promise.all([
    ledger.state(),
    ledger.findSummary(),
    findDataset(ledger.store),
  ]);
  return { run, out: ledger.out, state, summary: summary ?? (await summarise(ledger, run)), dataset };
}

/** The document `prepare --json` prints; what only a finished run knows is null before. Fields may be added, never renamed. */
export function prepareReport({ run, out, state, summary, dataset }: PrepareFacts): Record<string, unknown> {
  return {
    run: run.run,
    state,
    out,
    items: summary.items,
    prepared: summary.labelled,
    errors: summary.errors,
    errorsByCode: summary.errorsByCode,
    classes: dataset?.classes.length ?? null,
    train: dataset?.splits.train.items ?? null,
    val: dataset?.splits.val.items ?? null,
    duplicates: dataset?.duplicates.contents ?? null,
    conflictingLabels: dataset?.duplicates.conflictingLabels ?? null,
    classesWithoutValidation: dataset === null ? null : classesWithout(dataset, 'val'),
    meanPixel: dataset?.meanPixel ?? null,
    digest: dataset?.digest ?? null,
    seconds: summary.seconds,
  };
}

/** The same for a person, a few lines. */
export function describePrepare({ run, out, state, summary, dataset }: PrepareFacts): string {
  const errors = Object.entries(summary.errorsByCode).map(([code, count]) => `${number(count)} ${code}`);
  return textOf([
    `${run.run} ${state}: ${number(summary.labelled)} images prepared, ${number(summary.errors)} errors, ${number(summary.shards)} shards, ${duration(summary.seconds)}`,
    ...(errors.length === 0
      ? []
      : [`errors:     ${errors.join(', ')}; imagemill results ${run.run} --errors`]),
    ...(dataset === null ? [] : describeDataset(dataset, `${out}${ledgerKeys.duplicates}`)),
    `out:        ${out}`,
  ]);
}

function describeDataset({ classes, splits, meanPixel, duplicates }: Dataset, listedIn: string): string[] {
  const { contents, items, conflictingLabels } = duplicates;
  const repeated =
    contents === 0
      ? 'none'
      : `${number(contents)} contents in ${number(items)} images, ${number(conflictingLabels)} of them under different labels; see ${listedIn}`;
  return [
    `classes:    ${number(classes.length)}`,
    `images:     ${number(splits.train.items)} for training, ${number(splits.val.items)} for validation`,
    `mean pixel: ${meanPixel.map(number).join(' ')} (RGB, 0 to 255)`,
    `duplicates: ${repeated}`,
  ];
}

/** What a person should know of classes that validation will not see; null where there is nothing to say. */
export function validationWarning(dataset: Dataset): string | null {
  const missing = classesWithout(dataset, 'val');
  if (dataset.valFraction === 0 || missing.length === 0) return null;
  const names = missing.slice(0, CLASSES_NAMED_MAX).map((name) => JSON.stringify(name));
  const more = missing.length > names.length ? ` and ${number(missing.length - names.length)} more` : '';
  return `no validation images of ${missing.length === 1 ? 'class' : `${number(missing.length)} classes:`} ${names.join(', ')}${more}`;
}
