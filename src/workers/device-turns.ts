import { setTimeout as sleep } from 'node:timers/promises';
import { QUEUES } from '../contract/queues.ts';
import type { Queues } from '../queue/queues.ts';
import { orAbort } from '../storage/abort.ts';

/** How often a training epoch looks whether more urgent work waits. */
const LOOK_INTERVAL_MS = 500;
/** Between two epochs the device stays with training; the next one is on the queue before the one before ends. */
const RELEASE_DELAY_MS = 1_000;

/** The queue's worker in this process, as much of it as is needed here. */
export interface LabellingWorker {
  /** Stops taking jobs, and waits for those in progress. */
  pause(): Promise<void>;
  /** Takes jobs again; nothing happens where it does already. */
  resume(): void;
}

/** Training in progress, which can be held up at a batch boundary. */
export interface PausableTraining {
  /** Resolves when it has stopped, or ended. */
  pause(): Promise<void>;
  resume(): void;
}

/**
 * One device, two kinds of work. Labelling takes it shard by shard, training for an epoch; while training has it, this
 * worker takes no shards, except that training yields as long as shards of higher priority wait.
 */
export class DeviceTurns {
  readonly #queues: Pick<Queues, 'hasMoreUrgent'>;
  readonly #labelling: LabellingWorker;
  #release: NodeJS.Timeout | null = null;
  /** Priority of the training that has the device, or waits for it; null where there is none. */
  #holder: number | null = null;

  constructor(queues: Pick<Queues, 'hasMoreUrgent'>, labelling: LabellingWorker) {
    this.#queues = queues;
    this.#labelling = labelling;
  }

  /** Whether a shard of this priority may have the device now: beside training, only what is more urgent. */
  admits(priority: number): boolean {
    return this.#holder === null || priority < this.#holder;
  }

  /**
   * Runs `work` while labelling rests. Turns that follow one another let no less urgent labelling in between.
   * @param priority of the training job
   * @param signal ends the waiting; the work is told by other means
   * @throws the signal's reason before the work has begun; what the work throws
   */
  async train<R>(
    priority: number,
    training: PausableTraining,
    signal: AbortSignal,
    work: () => Promise<R>,
  ): Promise<R> {
    if (this.#release !== null) clearTimeout(this.#release);
    this.#holder = priority;
    const ended = new AbortController();
    let watching = Promise.resolve();
    try {
      await this.#take(priority, signal);
      signal.throwIfAborted();
      watching = this.#yieldToUrgent(priority, training, AbortSignal.any([signal, ended.signal]));
      return await work();
    } finally {
      ended.abort();
      await watching;
      this.#release = setTimeout(() => {
        this.#holder = null;
        this.#labelling.resume();
      }, RELEASE_DELAY_MS);
      this.#release.unref();
    }
  }

  async #yieldToUrgent(priority: number, training: PausableTraining, signal: AbortSignal): Promise<void> {
    while (await waits(signal)) {
      if (!(await this.#isUrgentWaiting(priority))) continue;
      await training.pause();
      // Training beside labelling is slow, but no fault; its results are the same.
      await this.#take(priority, signal).catch(() => {});
      training.resume();
    }
  }

  /** Lets labelling do what is more urgent; then it rests. */
  async #take(priority: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await this.#isUrgentWaiting(priority))) {
      this.#labelling.resume();
      await waits(signal);
    }
    // A stopping worker hands its shards back by itself; nobody waits for them here.
    if (!signal.aborted) await orAbort(this.#labelling.pause(), signal);
  }

  /** A Redis that is away for a moment is no reason to stop. */
  #isUrgentWaiting(priority: number): Promise<boolean> {
    return this.#queues.hasMoreUrgent(QUEUES.classify, priority).catch(() => false);
  }
}

/** @returns false where the signal came first */
async function waits(signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(LOOK_INTERVAL_MS, undefined, { signal, ref: false });
    return true;
  } catch {
    return false;
  }
}
