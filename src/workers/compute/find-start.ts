import type { WrittenObject } from '../../contract/ledger.ts';
import type { TrainingTotals } from '../../contract/training.ts';
import { decidingError } from '../../pipeline/training/deciding-error.ts';
import { NO_TOTALS } from '../../pipeline/training/epoch-meter.ts';
import type { TrainingLedger } from '../../storage/training-ledger.ts';

/** Where an epoch begins, by the ledger. */
export interface EpochStart {
  readonly epoch: number;
  readonly from: { readonly step: number; readonly totals: TrainingTotals };
  /** The checkpoint to start from and where in training it was written; null: the run's first weights. */
  readonly checkpoint: {
    readonly object: WrittenObject;
    readonly epoch: number;
    readonly step: number;
  } | null;
  readonly errorsBefore: readonly number[];
}

/** The newest committed state before or within an epoch. */
export async function findStart(ledger: TrainingLedger, epoch: number): Promise<EpochStart> {
  const [epochs, steps] = await Promise.all([ledger.epochs(), ledger.steps(epoch)]);
  const before = epochs.filter((commit) => commit.epoch < epoch);
  const errorsBefore = before.map(decidingError);
  const step = steps.at(-1);
  if (step !== undefined) {
    return {
      epoch,
      from: { step: step.step, totals: step.totals },
      checkpoint: { object: step.checkpoint, epoch, step: step.step },
      errorsBefore,
    };
  }
  const last = before.at(-1);
  const checkpoint =
    last === undefined ? null : { object: last.checkpoint, epoch: last.epoch, step: last.steps };
  return { epoch, from: { step: 0, totals: NO_TOTALS }, checkpoint, errorsBefore };
}
