import { runOfJobId } from '../contract/ids.ts';
import { QUEUES } from '../contract/queues.ts';
import type { RunState } from '../contract/run.ts';
import { trainProgressSchema, type EpochCommit, type TrainProgress } from '../contract/training.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { TrainingLedger } from '../storage/training-ledger.ts';
import type { Queues } from './queues.ts';

/** Events tell at once; the ledger is asked now and then, since an event can be lost. */
const LEDGER_POLL_MS = 2_000;
const ENDED: ReadonlySet<RunState> = new Set(['done', 'failed', 'cancelled']);

export interface TrainListener {
  onProgress(progress: TrainProgress): void;
  /** Called once for every epoch that is committed. */
  onEpoch(commit: EpochCommit): void;
}

/** Waits until a training run has ended, and reports its progress meanwhile. */
export async function followTrain(
  { ledger, run, queues }: { ledger: RunLedger; run: string; queues: Queues },
  listener: TrainListener,
  signal: AbortSignal,
): Promise<RunState> {
  const training = new TrainingLedger(ledger.store);
  const events = queues.events(QUEUES.train);
  let wake = () => {};
  let hasFailed = false;
  let seen = (await training.epochs()).at(-1)?.epoch ?? 0;
  events.on('progress', ({ jobId, data }) => {
    const progress = trainProgressSchema.safeParse(data);
    if (runOfJobId(jobId) === run && progress.success) listener.onProgress(progress.data);
  });
  events.on('completed', ({ jobId }) => {
    if (runOfJobId(jobId) === run) wake();
  });
  events.on('failed', ({ jobId }) => {
    if (runOfJobId(jobId) !== run) return;
    // For good: a job that will be tried again is delayed.
    hasFailed = true;
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    for (;;) {
      const isLast = hasFailed;
      const state = await ledger.state();
      for (const commit of await training.epochs()) {
        if (commit.epoch <= seen) continue;
        seen = commit.epoch;
        listener.onEpoch(commit);
      }
      if (ENDED.has(state)) return state;
      // Whoever failed may not have reached the ledger, or died as often as a job may.
      if (isLast) return 'failed';
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LEDGER_POLL_MS);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await events.close();
  }
}
