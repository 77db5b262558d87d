import type { EpochCommit } from '../contract/training.ts';
import type { TrainingLedger } from '../storage/training-ledger.ts';
import type { Logger } from '../telemetry/logger.ts';

/**
 * Epochs whose checkpoints stay: the best, the last, and the newest `keep` of the others.
 * @param best epoch with the best error so far
 */
export function epochsToKeep(epochs: readonly number[], best: number, keep: number): Set<number> {
  const last = Math.max(...epochs);
  const others = epochs.filter((epoch) => epoch !== best && epoch !== last).toSorted((a, b) => b - a);
  return new Set([best, last, ...others.slice(0, keep)]);
}

/** Removes the checkpoints of epochs that are not to be kept; their commits and metrics stay. */
export async function pruneEpochs(
  training: TrainingLedger,
  epochs: readonly EpochCommit[],
  kept: ReadonlySet<number>,
): Promise<void> {
  for (const { epoch, checkpoint } of epochs) {
    if (!kept.has(epoch)) await training.store.delete(checkpoint.key);
  }
}

/**
 * Removes the checkpoints within an epoch that a later one has made superfluous. Failing is no fault of the epoch.
 * @param before steps from here on stay
 */
export async function pruneSteps(
  training: TrainingLedger,
  epoch: number,
  before: number,
  logger: Logger,
): Promise<void> {
  try {
    for (const { step, checkpoint } of await training.steps(epoch)) {
      if (step < before) await training.store.delete(checkpoint.key);
    }
  } catch (error) {
    logger.warn({ err: error, epoch }, 'checkpoints that are superfluous could not be removed');
  }
}
