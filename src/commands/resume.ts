import { EXIT } from '../contract/errors.ts';
import { runToEnd, type ClassifyOptions } from './classify.ts';
import type { Context } from './context.ts';

/** `imagemill resume RUN`: puts a run on the queue again from its ledger; what is committed is not repeated. */
export async function resume(
  context: Context,
  reference: string,
  options: Pick<ClassifyOptions, 'wait' | 'json' | 'priority' | 'device' | 'engine'>,
): Promise<number> {
  const ledger = await context.index.open(reference);
  return runToEnd(context, await ledger.readRun(), ledger, options);
}

/** `imagemill cancel RUN`: writes the tombstone that workers check before each shard. */
export async function cancel(context: Context, reference: string): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  if ((await ledger.findSummary()) !== null) {
    context.stdout.write(`${run.run} is done already\n`);
    return EXIT.done;
  }
  await ledger.cancel(run.run, new Date());
  context.stdout.write(`${run.run} cancelled\n`);
  return EXIT.done;
}
