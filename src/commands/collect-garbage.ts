import { EXIT } from '../contract/errors.ts';
import { collectGarbage, type GarbageOptions } from '../producer/collect-garbage.ts';
import type { Context } from './context.ts';

/** `imagemill gc RUN`: removes what attempts left behind and no commit names. */
export async function gc(
  context: Context,
  reference: string,
  options: GarbageOptions & { readonly json: boolean },
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const { objects, bytes, unfinished } = await collectGarbage(ledger, context.resolver, options);
  if (options.json) {
    context.stdout.write(`${JSON.stringify({ run: run.run, objects, bytes, unfinished })}\n`);
    return EXIT.done;
  }
  const verb = options.dryRun ? 'would remove' : 'removed';
  context.stdout.write(
    `${run.run}: ${verb} ${objects} objects (${bytes} bytes) and ${unfinished} unfinished writes\n`,
  );
  return EXIT.done;
}
