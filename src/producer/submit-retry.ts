import { ImagemillError } from '../contract/errors.ts';
import { isClassifyRun, type Run } from '../contract/run.ts';
import { openNested, readGenerations, readMergedSummary } from '../storage/generations.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { createRun, type Submission } from './create-run.ts';

/** The nested run that labels a run's error items again. */
export interface SubmittedRetry {
  readonly run: Run;
  readonly ledger: RunLedger;
  /** Which generation it becomes when it is done. */
  readonly generation: number;
}

/**
 * Creates the ledger of the nested run that labels the errors of a finished run again, or finds the one that is
 * unfinished. Nothing is enqueued. Two callers at once get the same nested run.
 * @returns null where no errors are left
 * @throws ImagemillError USAGE where these errors cannot be retried, OUTPUT_NOT_WRITABLE,
 *   STORE_CONDITIONAL_PUT_UNSUPPORTED, STORE_*
 */
export async function submitRetry(
  retried: Run,
  ledger: RunLedger,
  resolver: StoreResolver,
  index: RunIndex,
  now = new Date(),
  submission: Submission = {},
): Promise<SubmittedRetry | null> {
  if (!isClassifyRun(retried)) throw wrongKind(retried);
  if (retried.spec.retryOf !== undefined) throw wrongRun(retried, retried.spec.retryOf);
  const state = await ledger.state();
  if (state !== 'done') {
    const advice =
      state === 'cancelled' ? 'classify again with --new' : `imagemill resume ${retried.run} first`;
    throw new ImagemillError(
      'USAGE',
      `--failed: expected a run that is done, got ${retried.run}, which is ${state}: ${advice}`,
    );
  }
  const { errors, generations } = await readMergedSummary(ledger, retried);
  if (errors === 0) return null;
  const generation = generations + 1;
  const { store } = await openNested(ledger, generation, resolver);
  const { run, ledger: nested } = await createRun(
    {
      spec: { ...retried.spec, retryOf: { run: retried.run, generation } },
      model: retried.model,
      out: store,
      fresh: false,
      ...submission,
    },
    resolver,
    index,
    now,
  );
  return { run, ledger: nested, generation };
}

/** The nested run of a generation that was begun and is not complete; null where there is none. */
export async function findRetry(ledger: RunLedger, resolver: StoreResolver): Promise<SubmittedRetry | null> {
  const generation = (await readGenerations(ledger)).length + 1;
  const nested = await openNested(ledger, generation, resolver);
  const run = await nested.findRun();
  return run === null ? null : { run, ledger: nested, generation };
}

function wrongKind({ run, spec: { kind } }: Run): ImagemillError {
  const instead = {
    classify: 'classify again',
    evaluate: 'evaluate again, with another --out',
    prepare: 'prepare again, with another --out',
    train: `imagemill resume ${run}`,
  };
  return new ImagemillError(
    'USAGE',
    `--failed: expected a classify run, got ${run}, a ${kind} run: ${instead[kind]}`,
  );
}

function wrongRun({ run }: Run, retryOf: { run: string; generation: number }): ImagemillError {
  return new ImagemillError(
    'USAGE',
    `--failed: expected a run of its own, got ${run}, which is generation ${retryOf.generation} of ${retryOf.run}: imagemill retry ${retryOf.run} --failed`,
  );
}
