import { ImagemillError } from '../contract/errors.ts';
import {
  LabelStatisticsSum,
  placeItems,
  type LeastConfidentOfRun,
  type LedgerLabelStatistics,
  type Statistics,
} from '../contract/label-statistics.ts';
import { generationDocument, type Generation, type Summary } from '../contract/ledger.ts';
import type { ClassifySpec, Run } from '../contract/run.ts';
import { lookFirstStore } from './fenced-store.ts';
import { ledgerKeys } from './ledger-keys.ts';
import type { StoreResolver } from './object-store.ts';
import { RunLedger } from './run-ledger.ts';
import { summarise } from './summarise-run.ts';

const FOLDER_OF_GENERATION = /generations\/\d{4,}(?:-\d+)?\/$/;

type RetryOf = NonNullable<ClassifySpec['retryOf']>;

/** A run's summary with its complete generations added. */
export interface MergedSummary extends Omit<Summary, 'labels'> {
  /** How many are complete. */
  readonly generations: number;
  /**
   * Of all labelled rows; undefined where some were written by a version that kept none, and before the first commit.
   * A listed item is the one at `index` in shard `shard` of the ledger that `resultLedgers` has at `generation`.
   */
  readonly labels?: Statistics<LeastConfidentOfRun>;
}

/**
 * The complete generations of a run, oldest first. A reader asks once, at its start: one that is completed meanwhile
 * is not seen at all. They are asked for by name, since a listing would pass through everything the nested runs hold.
 */
export async function readGenerations(ledger: RunLedger): Promise<Generation[]> {
  const generations: Generation[] = [];
  for (;;) {
    const next = await ledger.findGeneration(generations.length + 1);
    if (next === null) return generations;
    generations.push(next);
  }
}

/**
 * The ledgers whose commits are a run's result: its own, then those of its complete generations. Labelled rows are
 * those of all of them, error rows those of the last.
 */
export async function resultLedgers(
  ledger: RunLedger,
  resolver: StoreResolver,
): Promise<[RunLedger, ...RunLedger[]]> {
  const generations = await readGenerations(ledger);
  return [ledger, ...generations.map(({ directory }) => openBelow(ledger, directory, resolver))];
}

/** A run's summary, or what has been committed so far, with its complete generations added. */
export async function readMergedSummary(ledger: RunLedger, run: Run): Promise<MergedSummary> {
  const summary = await ledger.findSummary();
  if (summary === null) return mergeGenerations(await summarise(ledger, run), []);
  return mergeGenerations(summary, await readGenerations(ledger));
}

/** Items, shards and speed stay those of the run itself: a generation adds no items. */
function mergeGenerations(
  { labels: own, ...summary }: Summary,
  generations: readonly Generation[],
): MergedSummary {
  const { errors, errorsByCode } = generations.at(-1) ?? summary;
  const labelled = generations.reduce((sum, generation) => sum + generation.labelled, summary.labelled);
  const labels = mergeLabels([own, ...generations.map((generation) => generation.labels)]);
  return {
    ...summary,
    labelled,
    errors,
    errorsByCode,
    generations: generations.length,
    ...(labels === undefined ? {} : { labels }),
  };
}

/** @param labels of the run itself, then of its generations */
function mergeLabels(
  labels: readonly (LedgerLabelStatistics | undefined)[],
): Statistics<LeastConfidentOfRun> | undefined {
  const sum = new LabelStatisticsSum<LeastConfidentOfRun>();
  for (const [generation, statistics] of labels.entries()) {
    if (statistics === undefined) return undefined;
    sum.add(placeItems(statistics, { generation }));
  }
  return sum.statistics();
}

/**
 * Where a generation's nested run is, or is to be: one that was cancelled is left behind, and the next attempt has a
 * folder of its own.
 */
export async function openNested(
  ledger: RunLedger,
  generation: number,
  resolver: StoreResolver,
): Promise<RunLedger> {
  for (let attempt = 1; ; attempt += 1) {
    const nested = openBelow(ledger, ledgerKeys.generationFolder(generation, attempt), resolver);
    if ((await nested.state()) !== 'cancelled') return nested;
  }
}

/** The ledgers of all nested runs, also of those that are not complete or were cancelled. */
export async function* nestedLedgers(ledger: RunLedger, resolver: StoreResolver): AsyncGenerator<RunLedger> {
  for (let generation = 1; ; generation += 1) {
    for (let attempt = 1; ; attempt += 1) {
      const nested = openBelow(ledger, ledgerKeys.generationFolder(generation, attempt), resolver);
      if ((await nested.findRun()) === null) {
        if (attempt === 1) return;
        break;
      }
      yield nested;
    }
  }
}

/**
 * The ledger whose error rows a nested run labels again: that of the generation before it, or of the run itself.
 * @throws ImagemillError CONTRACT_INVALID where the nested run does not lie inside the run it names, RUN_NOT_FOUND
 */
export async function openErrorsOf(
  nested: RunLedger,
  retryOf: RetryOf,
  resolver: StoreResolver,
): Promise<RunLedger> {
  const ledgers = await resultLedgers(await openRetried(nested, retryOf, resolver), resolver);
  const before = ledgers[retryOf.generation - 1];
  if (before !== undefined) return before;
  throw new ImagemillError(
    'CONTRACT_INVALID',
    `${nested.out}: expected ${retryOf.generation - 1} complete generations before it, got ${ledgers.length - 1}`,
  );
}

/**
 * Makes a nested run that is done visible as a generation of the run it retries; does nothing for other runs.
 * Whoever finds the summary may call it, and again: only the first of them creates the document.
 * @throws ImagemillError CONTRACT_INVALID where the nested run does not lie inside the run it names, RUN_NOT_FOUND
 */
export async function completeGeneration(
  nested: RunLedger,
  { run, spec }: Run,
  resolver: StoreResolver,
): Promise<void> {
  if (spec.kind !== 'classify' || spec.retryOf === undefined) return;
  const summary = await nested.findSummary();
  if (summary === null) return;
  const retried = await openRetried(nested, spec.retryOf, resolver);
  await retried.createGeneration({
    schema: generationDocument.id,
    run: spec.retryOf.run,
    generation: spec.retryOf.generation,
    nested: run,
    directory: nested.out.slice(retried.out.length),
    items: summary.items,
    labelled: summary.labelled,
    errors: summary.errors,
    errorsByCode: summary.errorsByCode,
    finishedAt: summary.finishedAt,
    ...(summary.labels === undefined ? {} : { labels: summary.labels }),
  });
}

/** The directory of the run that a nested run retries, by where that is; null for any other run. */
export function retriedDirectory(out: string): string | null {
  return FOLDER_OF_GENERATION.test(out) ? out.replace(FOLDER_OF_GENERATION, '') : null;
}

/** Found by where the nested run is, rather than by an address in its spec: a run's directory can be moved as a whole. */
async function openRetried(nested: RunLedger, retryOf: RetryOf, resolver: StoreResolver): Promise<RunLedger> {
  const expected = `expected a folder of generation ${retryOf.generation} inside the directory of ${retryOf.run}`;
  const directory = retriedDirectory(nested.out);
  if (directory === null) throw new ImagemillError('CONTRACT_INVALID', `${expected}, got ${nested.out}`);
  const ledger = new RunLedger(resolver.open(directory));
  const { run, fencing } = await ledger.readRun();
  // The document says the same whoever of those that finish a nested run writes it, so looking first will do.
  if (run === retryOf.run) {
    return fencing === 'conditional-put' ? ledger : new RunLedger(lookFirstStore(ledger.store));
  }
  throw new ImagemillError('CONTRACT_INVALID', `${expected}, got ${nested.out} inside ${run}`);
}

function openBelow({ store }: RunLedger, directory: string, resolver: StoreResolver): RunLedger {
  return new RunLedger(resolver.open(store.uriOf(directory.slice(0, -1))));
}
