import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import type { PartFormat, ResultRow } from '../contract/rows.ts';
import { isLabelRun, isShardedRun, type LabelRun, type Run } from '../contract/run.ts';
import { createPartEncoder } from '../pipeline/sink/create-part-encoder.ts';
import { readPart } from '../pipeline/sink/read-part.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { Context } from './context.ts';

/** `imagemill results RUN`: streams the committed rows, in shard order. */
export async function results(
  context: Context,
  reference: string,
  options: { format: PartFormat; errors: boolean; output?: string },
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const bytes = options.errors ? errorBytes(ledger, run) : encodeRows(ledger, run, options.format);
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

/** Rows of a run's committed parts; a part that no commit names is not a result. */
export async function* committedRows(ledger: RunLedger, run: LabelRun): AsyncGenerator<ResultRow[]> {
  for await (const commit of ledger.commits()) {
    yield* readPart(await ledger.store.get(commit.part.key), run.spec.format);
  }
}

function encodeRows(ledger: RunLedger, run: Run, format: PartFormat): AsyncGenerator<Uint8Array> {
  if (!isLabelRun(run)) throw wrongKind('a run that labels images', run);
  return encodeLabels(ledger, run, format);
}

async function* encodeLabels(
  ledger: RunLedger,
  run: LabelRun,
  format: PartFormat,
): AsyncGenerator<Uint8Array> {
  const encoder = createPartEncoder({ format, embeddings: run.spec.embeddings });
  for await (const rows of committedRows(ledger, run)) yield encoder.rows(rows);
  yield encoder.end();
}

function errorBytes(ledger: RunLedger, run: Run): AsyncGenerator<Uint8Array> {
  if (!isShardedRun(run)) throw wrongKind('a run that reads images', run);
  return errorLines(ledger);
}

async function* errorLines(ledger: RunLedger): AsyncGenerator<Uint8Array> {
  for await (const commit of ledger.commits()) {
    if (commit.errors !== null) yield await ledger.store.get(commit.errors.key);
  }
}

function wrongKind(expected: string, { run, spec }: Run): ImagemillError {
  return new ImagemillError('USAGE', `expected ${expected}, got ${run}, a ${spec.kind} run`);
}
