import type { TrainRun } from '../contract/run.ts';
import { trainSummaryDocument, type EpochCommit, type TrainSummary } from '../contract/training.ts';
import { curvesSvg } from '../pipeline/charts/curves.ts';
import { renderSvg } from '../pipeline/decode/render-svg.ts';
import { bestEpoch, shouldStop } from '../pipeline/recipe/schedule.ts';
import { decidingError } from '../pipeline/training/deciding-error.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { TrainingLedger } from '../storage/training-ledger.ts';
import { epochsToKeep, pruneEpochs } from './prune-checkpoints.ts';

const MS_PER_SECOND = 1_000;

/** Writes the model of a checkpoint under these keys of the run; returns its digest. */
export type PublishModel = (checkpoint: string, models: readonly string[]) => Promise<string>;

/**
 * What follows the commit of an epoch: models and curves that people look at, old checkpoints removed, and, after the
 * last epoch, the summary. Doing it twice does no harm.
 * @returns the epoch to enqueue, or null where training is over
 */
export async function finishEpoch(
  ledger: RunLedger,
  training: TrainingLedger,
  run: TrainRun,
  commit: EpochCommit,
  publish: PublishModel,
): Promise<number | null> {
  const epochs = await training.epochs();
  // An attempt that comes late has nothing to publish any more.
  if (epochs.some(({ epoch }) => epoch > commit.epoch)) return null;
  const errors = epochs.map(decidingError);
  const best = epochs[(bestEpoch(errors) ?? 1) - 1] ?? commit;
  const isBest = best.epoch === commit.epoch;
  const lastDigest = await publish(
    commit.checkpoint.key,
    isBest ? [ledgerKeys.last, ledgerKeys.best] : [ledgerKeys.last],
  );
  await training.store.put(
    ledgerKeys.curves,
    await renderSvg(curvesSvg({ epochs, title: `${run.spec.recipe.name} ${run.run}` })),
  );
  await pruneEpochs(
    training,
    epochs,
    epochsToKeep(
      epochs.map(({ epoch }) => epoch),
      best.epoch,
      run.spec.keepCheckpoints,
    ),
  );
  const stoppedEarly = shouldStop(run.spec.recipe, errors);
  if (!stoppedEarly && commit.epoch < run.spec.recipe.epochs) return commit.epoch + 1;
  const bestDigest = isBest ? lastDigest : await publish(best.checkpoint.key, [ledgerKeys.best]);
  await training.createSummary(
    summaryOf(run, epochs, best, { stoppedEarly, last: lastDigest, best: bestDigest }),
  );
  await ledger.clearFailure();
  return null;
}

function summaryOf(
  run: TrainRun,
  epochs: readonly EpochCommit[],
  best: EpochCommit,
  digests: { readonly stoppedEarly: boolean; readonly best: string; readonly last: string },
): TrainSummary {
  const last = epochs.at(-1) ?? best;
  const { top1Error, top5Error } = best.validation ?? best.train;
  const items = epochs.reduce((sum, { train }) => sum + train.items, 0);
  const trainingSeconds = epochs.reduce((sum, { seconds }) => sum + seconds, 0);
  return {
    schema: trainSummaryDocument.id,
    run: run.run,
    epochs: epochs.length,
    stoppedEarly: digests.stoppedEarly && last.epoch < run.spec.recipe.epochs,
    best: { epoch: best.epoch, top1Error, top5Error, model: ledgerKeys.best, digest: digests.best },
    last: { epoch: last.epoch, model: ledgerKeys.last, digest: digests.last },
    items,
    startedAt: run.createdAt,
    finishedAt: last.committedAt,
    seconds: Math.max(0, Date.parse(last.committedAt) - Date.parse(run.createdAt)) / MS_PER_SECOND,
    imagesPerSecond: trainingSeconds === 0 ? 0 : Math.round((items / trainingSeconds) * 10) / 10,
  };
}
