import type { QueueEvents } from 'bullmq';
import { planProgressSchema, shardProgressSchema, type ShardProgress } from '../contract/jobs.ts';
import { runOfJobId } from '../contract/ids.ts';
import { QUEUES } from '../contract/queues.ts';
import type { RunState } from '../contract/run.ts';
import type { Queues } from './queues.ts';
import type { RunLedger } from '../storage/run-ledger.ts';

/** How far a run is. */
export interface Progress {
  /** Images done so far, labelled or not. */
  readonly items: number;
  readonly errors: number;
  /** Images known so far, and whether the whole source has been listed. */
  readonly total: number;
  readonly totalKnown: boolean;
}

/** Events tell at once; the ledger is asked now and then, since an event can be lost. */
const LEDGER_POLL_MS = 2_000;
const ENDED: ReadonlySet<RunState> = new Set(['done', 'failed', 'cancelled']);

export interface FollowedRun {
  readonly ledger: RunLedger;
  readonly run: string;
  readonly queues: Queues;
  readonly planJob: string;
  readonly shardQueue: 'classify' | 'prepare';
  /** Hears why a run failed whose ledger may say nothing, such as one on a disk that is full. */
  readonly onFailure?: (reason: string) => void;
}

/**
 * Waits until a run has ended, and reports its progress meanwhile.
 * @param before items and errors that were committed earlier
 */
export async function followRun(
  { ledger, run, queues, planJob, shardQueue, onFailure }: FollowedRun,
  before: ShardProgress,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<RunState> {
  const tally = new ProgressTally(before);
  const plan = queues.events(QUEUES.plan);
  const shards = queues.events(shardQueue);
  tally.listen(run, plan, shards, onProgress);
  let wake = () => {};
  const onEnd = ({ jobId }: { jobId: string }) => {
    if (jobId === planJob) wake();
  };
  plan.on('completed', onEnd);
  plan.on('failed', onEnd);
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    for (;;) {
      const state = await ledger.state();
      if (ENDED.has(state)) return state;
      signal.throwIfAborted();
      const ended = await queues.failedReason(QUEUES.plan, planJob);
      if (ended !== null) {
        onFailure?.(ended);
        return (await ledger.state()) === 'done' ? 'done' : 'failed';
      }
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
    await Promise.all([plan.close(), shards.close()]);
  }
}

/** Adds up what the shards of one run report. Only shards in progress are kept apart. */
class ProgressTally {
  readonly #active = new Map<string, ShardProgress>();
  #items: number;
  #errors: number;
  #total = 0;
  #totalKnown = false;

  constructor(before: ShardProgress) {
    this.#items = before.items;
    this.#errors = before.errors;
  }

  listen(
    run: string,
    plan: QueueEvents,
    shards: QueueEvents,
    onProgress: (progress: Progress) => void,
  ): void {
    plan.on('progress', ({ jobId, data }) => {
      const progress = planProgressSchema.safeParse(data);
      if (runOfJobId(jobId) !== run || !progress.success) return;
      this.#total = progress.data.items;
      this.#totalKnown = progress.data.complete;
      onProgress(this.#sum());
    });
    shards.on('progress', ({ jobId, data }) => {
      const progress = shardProgressSchema.safeParse(data);
      if (runOfJobId(jobId) !== run || !progress.success) return;
      this.#active.set(jobId, progress.data);
      onProgress(this.#sum());
    });
    shards.on('completed', ({ jobId, returnvalue }) => {
      const progress = shardProgressSchema.safeParse(returnvalue);
      if (runOfJobId(jobId) !== run || !progress.success) return;
      this.#active.delete(jobId);
      this.#items += progress.data.items;
      this.#errors += progress.data.errors;
      onProgress(this.#sum());
    });
  }

  #sum(): Progress {
    let [items, errors] = [this.#items, this.#errors];
    for (const progress of this.#active.values()) {
      items += progress.items;
      errors += progress.errors;
    }
    return { items, errors, total: Math.max(this.#total, items), totalKnown: this.#totalKnown };
  }
}
