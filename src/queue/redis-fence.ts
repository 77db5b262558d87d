import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Fence } from '../storage/fenced-store.ts';
import { redisOptions } from './connection.ts';
import type { QueueTarget } from './queues.ts';

/** A claim outlives every attempt that could still come late. */
const CLAIM_SECONDS = 7 * 24 * 3_600;
/** What a claim holds once the object is written: its bytes need not stay in Redis. */
const SETTLED = Buffer.from([0]);

/** Claims in Redis, for stores without conditional put. */
export class RedisFence implements Fence {
  readonly #target: QueueTarget;
  #redis: Redis | undefined;

  /** Connects at the first claim. */
  constructor(target: QueueTarget) {
    this.#target = target;
  }

  async claim(name: string, value: Uint8Array): Promise<Uint8Array | null> {
    const redis = this.#connection();
    const key = this.#keyOf(name);
    const bytes = Buffer.from(value);
    for (;;) {
      await redis.set(key, bytes, 'EX', CLAIM_SECONDS, 'NX');
      // Reading back tells our own claim whose reply was lost, and was sent again, from a lost race.
      const standing = await redis.getBuffer(key);
      if (standing !== null) return standing.equals(SETTLED) ? null : standing;
    }
  }

  async settle(name: string): Promise<void> {
    await this.#connection().set(this.#keyOf(name), SETTLED, 'EX', CLAIM_SECONDS, 'XX');
  }

  async close(): Promise<void> {
    await this.#redis?.quit().catch(() => {});
    this.#redis = undefined;
  }

  #connection(): Redis {
    if (this.#redis === undefined) {
      this.#redis = new Redis(redisOptions(this.#target, 'worker'));
      // Commands wait for the connection to come back; without a listener its error would end the process.
      this.#redis.on('error', () => {});
    }
    return this.#redis;
  }

  #keyOf(name: string): string {
    return `${this.#target.prefix}:fence:${createHash('sha256').update(name).digest('hex')}`;
  }
}
