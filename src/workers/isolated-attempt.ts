import { ImagemillError } from '../contract/errors.ts';
import type { ShardProgress } from '../contract/jobs.ts';
import type { Part } from '../contract/ledger.ts';
import { Semaphore } from '../pipeline/batch/semaphore.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { ComputeHost } from './compute/compute-host.ts';
import type { CondemnedItem, ShardTask } from './compute/protocol.ts';
import { findPoison, type Poison, type ProbeOutcome } from './find-poison.ts';
import { newToken } from './token.ts';

/** One at a time: every compute process holds a model, and devices have little memory. */
const PLACES = 1;

export interface IsolatedShard {
  readonly work: 'classify' | 'prepare';
  /** The run's directory, as a URI. */
  readonly out: string;
  readonly shard: number;
  /** Number of items. */
  readonly items: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ShardProgress) => void;
  /** Its lines say which shard they are about. */
  readonly logger: Logger;
}

/** A part, and the token of the attempt that wrote it. */
export interface AttemptedPart {
  readonly token: string;
  readonly part: Part;
}

/** Whether an attempt failed because its compute process died or had to be killed, for whatever reason. */
export function tookProcessDown(error: unknown): error is ImagemillError {
  return error instanceof ImagemillError && (error.code === 'COMPUTE_DIED' || error.code === 'COMPUTE_HUNG');
}

/**
 * Does what is left to do for shards that were in a compute process when it died: in a process of their own, where they
 * can neither harm others nor be harmed by them.
 */
export class IsolatedAttempts {
  readonly #openHost: () => ComputeHost;
  readonly #places = new Semaphore(PLACES);

  /** @param openHost makes a host whose process is started with its first attempt */
  constructor(openHost: () => ComputeHost) {
    this.#openHost = openHost;
  }

  /**
   * Attempts a shard alone. An innocent one succeeds at once. In one that takes this process down as well the guilty
   * items are found and condemned, and the others are worked on.
   * @throws ImagemillError COMPUTE_DIED or COMPUTE_HUNG where no item can be blamed; what the attempt fails with
   */
  async run(shard: IsolatedShard): Promise<AttemptedPart> {
    return this.#places.run(async () => {
      shard.signal.throwIfAborted();
      const host = this.#openHost();
      // A process that stands still would not hear that it is to stop.
      const end = (): void => void host.close();
      shard.signal.addEventListener('abort', end, { once: true });
      try {
        return await this.#attempt(host, shard);
      } finally {
        shard.signal.removeEventListener('abort', end);
        await host.close();
      }
    });
  }

  async #attempt(host: ComputeHost, shard: IsolatedShard): Promise<AttemptedPart> {
    try {
      return await attempt(host, shard, []);
    } catch (error) {
      if (!tookProcessDown(error)) throw error;
      shard.logger.warn(
        { code: error.code, err: error },
        'a shard takes the compute process down: looking for the item',
      );
      const poison = await findPoison(shard.items, (start, stop) => probe(host, shard, start, stop));
      if (poison === null || poison.length === 0) throw error;
      shard.logger.warn({ code: 'IMAGE_CRASHED', poison }, 'items condemned');
      return attempt(host, shard, poison.map(condemned));
    }
  }
}

async function attempt(
  host: ComputeHost,
  { work, out, shard, signal, onProgress }: IsolatedShard,
  condemnedItems: readonly CondemnedItem[],
): Promise<AttemptedPart> {
  const token = newToken();
  const task: ShardTask = { out, shard, token, condemned: condemnedItems };
  return { token, part: await host.run(work, task, { signal, onProgress }) };
}

async function probe(
  host: ComputeHost,
  { work, out, shard, signal }: IsolatedShard,
  start: number,
  end: number,
): Promise<ProbeOutcome> {
  const task = { work, out, shard, token: newToken(), start, end };
  try {
    await host.run('probe', task, { signal, onProgress: () => {} });
    return { survived: true };
  } catch (error) {
    if (!tookProcessDown(error)) throw error;
    return { survived: false, how: error.message };
  }
}

function condemned({ index, how }: Poison): CondemnedItem {
  return { index, message: `with this image alone, ${how}` };
}
