import type { Run } from '../contract/run.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { findRetry } from './submit-retry.ts';

/**
 * Writes the tombstone that workers look for; of a finished run that of its retry in progress.
 * @returns the id of the run that was cancelled; null where the run is done and nothing goes on
 */
export async function cancelRun(
  ledger: RunLedger,
  run: Run,
  resolver: StoreResolver,
  now = new Date(),
): Promise<string | null> {
  const isDone = (await ledger.store.head(ledgerKeys.summary)) !== null;
  const goingOn = isDone ? await findRetry(ledger, resolver) : { run, ledger };
  if (goingOn === null) return null;
  await goingOn.ledger.cancel(goingOn.run.run, now);
  return goingOn.run.run;
}
