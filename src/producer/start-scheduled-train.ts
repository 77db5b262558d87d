import { ImagemillError } from '../contract/errors.ts';
import { isTrainRun } from '../contract/run.ts';
import type { TrainScheduleJob } from '../contract/jobs.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { ObjectStore, StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { RunLedger } from '../storage/run-ledger.ts';
import { enqueueTrain } from './enqueue-train.ts';
import { submitTrain } from './submit-train.ts';

const KEY_OF_RUN = /^(r-[0-9A-HJKMNP-TV-Z]{26})\/(.*)$/;

/**
 * What a schedule does at each of its times: submits a run in a folder of its own, which starts from the best model
 * of the newest run there that is done, and puts it on the queue. A run of an earlier time that still goes on is not
 * overtaken: the new one would not start from its best model. It is put on the queue again, should it have been lost.
 * @returns the id of the run, or of the one that still goes on
 * @throws ImagemillError as `submitTrain`
 */
export async function startScheduledTrain(
  schedule: TrainScheduleJob,
  resolver: StoreResolver,
  index: RunIndex,
  queues: Parameters<typeof enqueueTrain>[2],
): Promise<string> {
  const { priority, ...request } = schedule;
  const earlier = await earlierRuns(resolver.open(schedule.out));
  const { run, ledger } =
    (await unfinished(earlier.newest, resolver)) ??
    (await submitTrain(
      { ...request, init: earlier.model ?? request.init, fresh: true, nested: true },
      resolver,
      index,
    ));
  if (!isTrainRun(run)) throw new ImagemillError('INTERNAL', 'expected a training run');
  await enqueueTrain(ledger, run, queues, { priority });
  return run.run;
}

interface EarlierRuns {
  /** Location of the newest run. */
  readonly newest: string | undefined;
  /** Best model of the newest run that is done. */
  readonly model: string | undefined;
}

/** Names of runs sort by time. */
async function earlierRuns(store: ObjectStore): Promise<EarlierRuns> {
  let [newest, done]: (string | undefined)[] = [];
  try {
    for await (const page of store.list('r-')) {
      for (const { key } of page) {
        const [, run, rest] = KEY_OF_RUN.exec(key) ?? [];
        if (rest === ledgerKeys.run) newest = run;
        if (rest === ledgerKeys.summary) done = run;
      }
    }
  } catch (error) {
    if (!(error instanceof ImagemillError) || error.code !== 'STORE_NOT_FOUND') throw error;
  }
  return {
    newest: newest === undefined ? undefined : store.uriOf(newest),
    model: done === undefined ? undefined : store.uriOf(`${done}/${ledgerKeys.best}`),
  };
}

async function unfinished(uri: string | undefined, resolver: StoreResolver) {
  if (uri === undefined) return null;
  const ledger = new RunLedger(resolver.open(uri));
  const [run, state] = await Promise.all([ledger.readRun(), ledger.state()]);
  // Planning: its submission was cut short, so that it is no run yet.
  return state === 'running' ? { run, ledger } : null;
}
