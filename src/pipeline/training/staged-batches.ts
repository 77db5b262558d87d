import type { SlabPool } from '../batch/slab-pool.ts';
import type { TrainedSlab } from '../engine/trainer-thread.ts';
import type { TrainingDevice } from './epoch-task.ts';
import type { FilledMicroBatch } from './training-batches.ts';

/** A micro-batch that is at the device. */
interface AtDevice {
  /** Its slab is back in the pool when the promise settles. */
  train(learningRate: number): Promise<TrainedSlab['statistics']>;
  release(): Promise<void>;
}

export interface StagedBatchesOptions {
  readonly device: Pick<TrainingDevice, 'stage'>;
  readonly slabs: SlabPool;
  /** Whether the recipe changes colours. */
  readonly colour: boolean;
}

/**
 * Hands micro-batches to the device one ahead: the next one is on its way while it trains on another. What was handed
 * over is trained on only when it is asked for, so the caller can stop between any two.
 */
export class StagedBatches {
  readonly #batches: AsyncGenerator<FilledMicroBatch>;
  readonly #options: StagedBatchesOptions;
  #next: Promise<AtDevice | null> | null = null;

  /** Takes the generator over. */
  constructor(batches: AsyncGenerator<FilledMicroBatch>, options: StagedBatchesOptions) {
    this.#batches = batches;
    this.#options = options;
  }

  /** Waits until the next micro-batch is at the device. @returns null after the last one */
  async next(): Promise<AtDevice | null> {
    const next = this.#next ?? this.#stage();
    this.#next = null;
    return next;
  }

  /** Ends the reading; what was handed over and not trained on comes back to the pool. */
  async close(): Promise<void> {
    const next = await this.#next?.catch(() => null);
    await next?.release();
    await this.#batches.return(undefined);
  }

  async #stage(): Promise<AtDevice | null> {
    const next = await this.#batches.next();
    if (next.done === true) return null;
    const { device, slabs, colour } = this.#options;
    const { slab, position, batch } = next.value;
    const { labels, mirrored, matrices, greyShifts, shifts } = batch;
    const facts = { labels, mirrored, colour: colour ? { matrices, greyShifts, shifts } : null };
    const staged = device.stage(slab, facts);
    return {
      train: async (learningRate) => {
        let returned = slab;
        try {
          const trained = staged.train(position, learningRate);
          this.#lookAhead();
          const result = await trained;
          returned = result.slab;
          return result.statistics;
        } finally {
          slabs.release(returned);
        }
      },
      release: async () => slabs.release(await staged.release().catch(() => slab)),
    };
  }

  /** Only now that the device has something to do: its thread would copy first and compute afterwards. */
  #lookAhead(): void {
    this.#next = this.#stage();
    // A failure is reported when its turn comes; until then it must not count as unhandled.
    this.#next.catch(() => {});
  }
}
