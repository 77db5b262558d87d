import { ImagemillError } from '../contract/errors.ts';
import type { PartFormat, ResultRow } from '../contract/rows.ts';
import { isLabelRun, isShardedRun, type LabelRun, type Run } from '../contract/run.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { createPartEncoder } from './sink/create-part-encoder.ts';
import { readPart } from './sink/read-part.ts';

/** The run's own ledger and those of its complete generations, as `resultLedgers` gives them. */
type ResultLedgers = readonly [RunLedger, ...RunLedger[]];

/** Rows of a run's committed parts; a part that no commit names is not a result. */
export async function* committedRows(
  ledgers: readonly RunLedger[],
  run: LabelRun,
): AsyncGenerator<ResultRow[]> {
  for (const ledger of ledgers) {
    for await (const commit of ledger.commits()) {
      yield* readPart(await ledger.store.get(commit.part.key), run.spec.format);
    }
  }
}

/**
 * The committed rows of a run as one file, in shard order, those of complete generations after the run's own.
 * @throws ImagemillError USAGE where the run does not label images
 */
export function resultBytes(
  ledgers: ResultLedgers,
  run: Run,
  format: PartFormat,
): AsyncGenerator<Uint8Array> {
  if (!isLabelRun(run)) throw wrongKind('a run that labels images', run);
  return encodeLabels(ledgers, run, format);
}

async function* encodeLabels(
  ledgers: ResultLedgers,
  run: LabelRun,
  format: PartFormat,
): AsyncGenerator<Uint8Array> {
  const encoder = createPartEncoder({ format, embeddings: run.spec.embeddings });
  for await (const rows of committedRows(ledgers, run)) yield encoder.rows(rows);
  yield encoder.end();
}

/**
 * The error rows of a run that are left, as JSONL.
 * @throws ImagemillError USAGE where the run does not read images
 */
export function errorBytes(ledgers: ResultLedgers, run: Run): AsyncGenerator<Uint8Array> {
  if (!isShardedRun(run)) throw wrongKind('a run that reads images', run);
  // A generation retries every error of the one before it: what is left is in the last.
  return errorLines(ledgers.at(-1) ?? ledgers[0]);
}

async function* errorLines(ledger: RunLedger): AsyncGenerator<Uint8Array> {
  for await (const commit of ledger.commits()) {
    if (commit.errors !== null) yield await ledger.store.get(commit.errors.key);
  }
}

function wrongKind(expected: string, { run, spec }: Run): ImagemillError {
  return new ImagemillError('USAGE', `expected ${expected}, got ${run}, a ${spec.kind} run`);
}
