import type { RunState, TrainRun } from '../contract/run.ts';
import type { EpochCommit, TrainSummary } from '../contract/training.ts';
import { bestEpoch } from '../pipeline/recipe/schedule.ts';
import { decidingError } from '../pipeline/training/deciding-error.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import { duration, percent, textOf } from './print.ts';

export interface TrainFacts {
  readonly run: TrainRun;
  /** The run's directory. */
  readonly out: string;
  readonly state: RunState;
  readonly summary: TrainSummary | null;
  readonly epochs: readonly EpochCommit[];
}

/** The document `train --json` prints, also of a run in progress. Fields may be added, never renamed. */
export function trainReport({ run, out, state, summary, epochs }: TrainFacts): Record<string, unknown> {
  const best = bestOf(epochs);
  return {
    run: run.run,
    state,
    out,
    recipe: run.spec.recipe.name,
    epochs: epochs.length,
    best:
      best === null
        ? null
        : {
            epoch: best.epoch,
            top1Error: decidingError(best),
            top5Error: (best.validation ?? best.train).top5Error,
            model: `${out}${ledgerKeys.best}`,
            ...(summary === null ? {} : { digest: summary.best.digest }),
          },
    stoppedEarly: summary?.stoppedEarly ?? null,
    seconds: summary?.seconds ?? null,
    imagesPerSecond: summary?.imagesPerSecond ?? epochs.at(-1)?.imagesPerSecond ?? 0,
  };
}

/** The same for a person, a few lines. */
export function describeTrainRun({ run, out, state, summary, epochs }: TrainFacts): string {
  const best = bestOf(epochs);
  const { recipe } = run.spec;
  const took = summary === null ? '' : `, ${duration(summary.seconds)}`;
  return textOf([
    `${run.run} ${state}: ${recipe.name}, ${epochs.length} of ${recipe.epochs} epochs${took}`,
    ...(best === null
      ? []
      : [
          `best:   epoch ${best.epoch}, top-1 error ${percent(decidingError(best))}, ${out}${ledgerKeys.best}`,
          `curves: ${out}${ledgerKeys.curves}`,
        ]),
    `out:    ${out}`,
  ]);
}

function bestOf(epochs: readonly EpochCommit[]): EpochCommit | null {
  return epochs[(bestEpoch(epochs.map(decidingError)) ?? 0) - 1] ?? null;
}
