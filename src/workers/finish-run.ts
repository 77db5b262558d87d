import { ImagemillError } from '../contract/errors.ts';
import { failureDocument, type Summary } from '../contract/ledger.ts';
import { isEvaluateRun, isPrepareRun, type Run } from '../contract/run.ts';
import { finishEvaluate } from '../pipeline/finish-evaluate.ts';
import { finishPrepare } from '../pipeline/finish-prepare.ts';
import { completeGeneration } from '../storage/generations.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { summarise } from '../storage/summarise-run.ts';

const FAILURES_LISTED_MAX = 100;

/**
 * Ends a run whose shard jobs have all ended: writes `summary.json` if every shard has a commit, and makes a nested run
 * a generation of the run it retries. Doing it again completes what an earlier, interrupted call began.
 * @param failedReasons why jobs failed, by shard, as far as the queue knows
 * @throws ImagemillError SHARDS_FAILED after writing `failed.json`, where shards have no commit
 */
export async function finishRun(
  ledger: RunLedger,
  run: Run,
  failedReasons: ReadonlyMap<number, string>,
  resolver: StoreResolver,
): Promise<Summary> {
  const summary = (await ledger.findSummary()) ?? (await writeSummary(ledger, run, failedReasons));
  await completeGeneration(ledger, run, resolver);
  return summary;
}

async function writeSummary(
  ledger: RunLedger,
  run: Run,
  failedReasons: ReadonlyMap<number, string>,
): Promise<Summary> {
  const plan = await ledger.findPlan();
  if (plan === null) throw new ImagemillError('INTERNAL', `run ${run.run} ended before it was planned`);

  const missing: number[] = [];
  let [next, committed] = [0, 0];
  for await (const shard of ledger.committedShards()) {
    while (next < shard && missing.length < FAILURES_LISTED_MAX) missing.push(next++);
    next = shard + 1;
    committed += 1;
  }
  while (next < plan.shards && missing.length < FAILURES_LISTED_MAX) missing.push(next++);
  if (missing.length > 0) {
    const shards = missing.map((shard) => ({ shard, message: failedReasons.get(shard) ?? 'not processed' }));
    const message = `${plan.shards - committed} of ${plan.shards} shards have no result; shard ${shards[0]?.shard}: ${shards[0]?.message}`;
    await writeRunFailure(ledger, run, new ImagemillError('SHARDS_FAILED', message), shards);
    throw new ImagemillError('SHARDS_FAILED', message);
  }
  if (isPrepareRun(run)) await finishPrepare(ledger, run);
  if (isEvaluateRun(run)) await finishEvaluate(ledger, run);
  const summary = await summarise(ledger, run);
  await ledger.createSummary(summary);
  return (await ledger.findSummary()) ?? summary;
}

/** Writes `failed.json`: why the run stopped short of its summary. */
export async function writeRunFailure(
  ledger: RunLedger,
  run: Run,
  error: ImagemillError,
  shards: { shard: number; message: string }[] = [],
): Promise<void> {
  await ledger.writeFailure({
    schema: failureDocument.id,
    run: run.run,
    failedAt: new Date().toISOString(),
    code: error.code,
    message: error.message,
    shards,
  });
}
