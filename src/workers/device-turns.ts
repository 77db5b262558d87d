import { setTimeout as sleep } from 'node:timers/promises';
import { QUEUES } from '../contract/queues.ts';
import type { Queues } from '../queue/queues.ts';

/** How often a training epoch looks whether more urgent work waits. */
const LOOK_INTERVAL_MS = 500;

/** The queue's worker in this process, as much of it as is needed here. */
export interface LabellingWorker {
  /** Stops taking jobs, and waits for those in progress. */
  pause(): Promise<void>;
  resume(): void;
  /** Jobs in progress. */
  active(): number;
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
  readonly #queues: Queues;
  readonly #labelling: LabellingWorker;

  constructor(queues: Queues, labelling: LabellingWorker) {
    this.#queues = queues;
    this.#labelling = labelling;
  }

  /**
   * Runs `work` while labelling rests.
   * @param priority of the training job
   * @param signal ends the waiting; the work is told by other means
   */
  async train<R>(
    priority: number,
    training: PausableTraining,
    signal: AbortSignal,
    work: () => Promise<R>,
  ): Promise<R> {
    await this.#untilNothingUrgent(priority, signal);
    signal.throwIfAborted();
    await this.#labelling.pause();
    const ended = new AbortController();
    const watching = this.#yieldToUrgent(priority, training, AbortSignal.any([signal, ended.signal]));
    try {
      return await work();
    } finally {
      ended.abort();
      await watching;
      this.#labelling.resume();
    }
  }

  async #yieldToUrgent(priority: number, training: PausableTraining, signal: AbortSignal): Promise<void> {
    while (await this.#waits(signal)) {
      if (!(await this.#isUrgentWaiting(priority))) continue;
      await training.pause();
      this.#labelling.resume();
      await this.#untilNothingUrgent(priority, signal);
      if (!signal.aborted) await this.#labelling.pause();
      training.resume();
    }
  }

  /** Until no more urgent shard waits, and none is in progress here. */
  async #untilNothingUrgent(priority: number, signal: AbortSignal): Promise<void> {
    if (!(await this.#isUrgentWaiting(priority))) return;
    while (await this.#waits(signal)) {
      if (this.#labelling.active() === 0 && !(await this.#isUrgentWaiting(priority))) return;
    }
  }

  /** A Redis that is away for a moment is no reason to stop. */
  #isUrgentWaiting(priority: number): Promise<boolean> {
    return this.#queues.hasMoreUrgent(QUEUES.classify, priority).catch(() => false);
  }

  /** @returns false where the signal came first */
  async #waits(signal: AbortSignal): Promise<boolean> {
    try {
      await sleep(LOOK_INTERVAL_MS, undefined, { signal, ref: false });
      return true;
    } catch {
      return false;
    }
  }
}
