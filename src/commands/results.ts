import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import type { PartFormat, ResultRow } from '../contract/rows.ts';
import { isLabelRun, isShardedRun, type LabelRun, type Run } from '../contract/run.ts';
import { createPartEncoder } from '../pipeline/sink/create-part-encoder.ts';
import { readPart } from '../pipeline/sink/read-part.ts';
import { resultLedgers } from '../storage/generations.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { Context } from './context.ts';

type ResultLedgers = readonly [RunLedger, ...RunLedger[]];

/** `imagemill results RUN`: streams the committed rows, in shard order, those of complete generations after the run's own. */
export async function results(
  context: Context,
  reference: string,
  options: { format: PartFormat; errors: boolean; output?: string },
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const ledgers = await resultLedgers(ledger, context.resolver);
  const bytes = options.errors ? errorBytes(ledgers, run) : encodeRows(ledgers, run, options.format);
  if (
    options.format === 'parquet' &&
    !options.errors &&
    options.output === undefined &&
    context.stdoutIsTerminal
  ) {
    throw new ImagemillError('USAGE', 'expected --output FILE or a pipe for Parquet, got a terminal');
  }
  if (options.output !== undefined) {
    await pipeline(bytes, createWriteStream(options.output));
    return EXIT.done;
  }
  for await (const chunk of bytes) {
    if (chunk.length > 0 && !context.stdout.write(chunk)) await once(context.stdout, 'drain');
  }
  return EXIT.done;
}

/**
 * Rows of a run's committed parts; a part that no commit names is not a result.
 * @param ledgers the run's own and those of its generations, as `resultLedgers` gives them
 */
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

function encodeRows(ledgers: ResultLedgers, run: Run, format: PartFormat): AsyncGenerator<Uint8Array> {
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

function errorBytes(ledgers: ResultLedgers, run: Run): AsyncGenerator<Uint8Array> {
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
