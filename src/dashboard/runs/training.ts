import { CURVE_POINTS_MAX, type Training } from '../../contract/api/training.ts';
import { isTrainRun } from '../../contract/run.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { thinOut } from '../catalogue/epoch-reader.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';

/**
 * How a training run goes: its epochs, and its steps thinned to what a curve can show.
 * @throws ImagemillError RUN_NOT_FOUND
 */
export async function readTraining(watched: WatchedRun): Promise<Training> {
  const run = await watched.document();
  if (!isTrainRun(run)) throw new ImagemillError('RUN_NOT_FOUND', `${run.run}: expected a training run`);
  const steps = await watched.epochs.steps();
  const { epochs } = watched.epochs;
  return {
    epochs: run.spec.recipe.epochs,
    // A job that waits for the device says 0: it has not looked yet.
    stepsPerEpoch: positive(watched.latest?.steps) ?? positive(epochs.at(-1)?.steps),
    done: epochs.map(
      ({ checkpoint: _checkpoint, metrics: _metrics, token: _token, schema: _schema, run: _run, ...facts }) =>
        facts,
    ),
    steps: thinOut(steps, CURVE_POINTS_MAX),
    latest: watched.isLive ? watched.latest : null,
  };
}

function positive(value: number | undefined): number | null {
  return value === undefined || value === 0 ? null : value;
}
