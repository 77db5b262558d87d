import type { TrainRun } from '../contract/run.ts';
import type { Queues } from '../queue/queues.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { TrainingLedger } from '../storage/training-ledger.ts';

/** Tries of an epoch: it goes on from its last checkpoint, so an attempt repeats minutes at most. */
const EPOCH_ATTEMPTS = 5;

/**
 * Puts the next epoch of a training run on the queue, by what its ledger says: for the first time or again.
 * Doing it twice does no harm: while a job works for the run, this only finds it.
 * @returns id of the epoch's job
 */
export async function enqueueTrain(
  ledger: RunLedger,
  run: TrainRun,
  queues: Pick<Queues, 'addEpochJob' | 'findEpochJob'>,
  options: { priority: number; startAt?: Date; now?: Date },
): Promise<string> {
  const now = options.now ?? new Date();
  await ledger.clearFailure();
  const epochs = await new TrainingLedger(ledger.store).epochs();
  // The job of an epoch that is committed already enqueues the next, or writes the summary that is missing.
  const epoch = epochs.at(-1)?.epoch ?? 1;
  const inProgress = await queues.findEpochJob(run.run, epochs.length === 0 ? epoch : epoch + 1);
  if (inProgress !== null) return inProgress;
  return queues.addEpochJob(
    {
      run: run.run,
      out: ledger.out,
      epoch,
      // Ids of an earlier enqueuing may still be among Redis's finished jobs, and would be taken for done.
      generation: Math.max(0, Math.floor((now.getTime() - Date.parse(run.createdAt)) / 1_000)),
      priority: options.priority,
    },
    EPOCH_ATTEMPTS,
    options.startAt === undefined ? 0 : Math.max(0, options.startAt.getTime() - now.getTime()),
  );
}
