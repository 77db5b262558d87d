import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import type { PartFormat } from '../contract/rows.ts';
import { errorBytes, resultBytes } from '../pipeline/run-results.ts';
import { resultLedgers } from '../storage/generations.ts';
import type { Context } from './context.ts';

/** `imagemill results RUN`: streams the committed rows, in shard order, those of complete generations after the run's own. */
export async function results(
  context: Context,
  reference: string,
  options: { format: PartFormat; errors: boolean; output?: string },
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const ledgers = await resultLedgers(ledger, context.resolver);
  const bytes = options.errors ? errorBytes(ledgers, run) : resultBytes(ledgers, run, options.format);
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
