import { ImagemillError } from '../contract/errors.ts';
import { isTrainRun } from '../contract/run.ts';
import type { TrainScheduleJob } from '../contract/jobs.ts';
import type { Queues } from '../queue/queues.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { ObjectStore, StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { enqueueTrain } from './enqueue-train.ts';
import { submitTrain } from './submit-train.ts';

const SUMMARY_OF_RUN = /^(r-[0-9A-HJKMNP-TV-Z]{26})\/summary\.json$/;

/**
 * What a schedule does at each of its times: submits a run in a folder of its own, which starts from the best model
 * of the newest run there that is done, and puts it on the queue.
 * @returns the run's id
 * @throws ImagemillError as `submitTrain`
 */
export async function startScheduledTrain(
  schedule: TrainScheduleJob,
  resolver: StoreResolver,
  index: RunIndex,
  queues: Queues,
): Promise<string> {
  const { priority, ...request } = schedule;
  const last = await newestModel(resolver.open(schedule.out));
  const { run, ledger } = await submitTrain(
    { ...request, init: last ?? request.init, fresh: true, nested: true },
    resolver,
    index,
  );
  if (!isTrainRun(run)) throw new ImagemillError('INTERNAL', 'expected a training run');
  await enqueueTrain(ledger, run, queues, { priority });
  return run.run;
}

/** Names of runs sort by time. */
async function newestModel(store: ObjectStore): Promise<string | undefined> {
  let newest: string | undefined;
  try {
    for await (const page of store.list('r-')) {
      for (const { key } of page) newest = SUMMARY_OF_RUN.exec(key)?.[1] ?? newest;
    }
  } catch (error) {
    if (!(error instanceof ImagemillError) || error.code !== 'STORE_NOT_FOUND') throw error;
  }
  return newest === undefined ? undefined : store.uriOf(`${newest}/${ledgerKeys.best}`);
}
