import type { Run } from '../contract/run.ts';
import type { Queues } from '../queue/queues.ts';
import type { RunLedger } from '../storage/run-ledger.ts';

/**
 * Puts a run on the queue, for the first time or again: what has a commit is not repeated.
 * Doing it twice does no harm: while a plan job works for the run, this only finds it.
 * @returns id of the plan job
 */
export async function enqueueRun(
  ledger: RunLedger,
  run: Run,
  queues: Queues,
  options: { priority: number; now?: Date },
): Promise<string> {
  const now = options.now ?? new Date();
  await ledger.clearFailure();
  return queues.addPlanJob({
    run: run.run,
    out: ledger.out,
    // Ids of an earlier enqueuing may still be among Redis's finished jobs, and would be taken for done.
    generation: Math.max(0, Math.floor((now.getTime() - Date.parse(run.createdAt)) / 1_000)),
    phase: 'planning',
    planned: 0,
    plannedItems: 0,
    priority: options.priority,
  });
}
