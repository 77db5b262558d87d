import { Redis } from 'ioredis';
import { ImagemillError } from '../contract/errors.ts';
import { workerReportDocument, type WorkerReport } from '../contract/worker-report.ts';
import { redisAddress, redisOptions } from './connection.ts';
import type { QueueTarget } from './queues.ts';
import { redisFault } from './redis-faults.ts';

/** A worker that has not been heard of for so long is forgotten. */
const KEPT_MS = 10 * 60_000;
/** Workers that are kept and listed, those first that were heard of last. */
const WORKERS_MAX = 10_000;
/** Reports read in one go. */
const READ_AT_ONCE = 500;
/** A server that is silent for longer is given up, so that nothing waits for its reply and no memory is held for it. */
const SILENCE_MAX_MS = 4_000;
/** Longer documents are none of ours. */
const REPORT_CHARACTERS_MAX = 64 * 1024;

/**
 * Where workers say that they live, and what they do: `<prefix>:worker:<name>` holds the last report of one and goes by
 * itself, and `<prefix>:workers` has their names by the time of that report.
 */
export class WorkerRegistry {
  readonly #target: QueueTarget;
  #redis: Redis | undefined;

  /** Connects at the first call. */
  constructor(target: QueueTarget) {
    this.#target = target;
  }

  /**
   * Replaces the worker's last report. Calls that do not wait for one another pile up while Redis is silent.
   * @throws ImagemillError REDIS_UNREACHABLE within seconds where Redis is away; REDIS_REFUSED, REDIS_UNTRUSTED
   */
  async report(report: WorkerReport): Promise<void> {
    const json = JSON.stringify(workerReportDocument.parse(report, `report of worker ${report.name}`));
    await this.#ask((redis) =>
      inTransaction(
        redis
          .multi()
          .set(this.#keyOf(report.name), json, 'PX', KEPT_MS)
          .zadd(this.#names, Date.parse(report.at), report.name)
          .zremrangebyrank(this.#names, 0, -WORKERS_MAX - 1),
      ),
    );
  }

  /**
   * Forgets a worker; nothing happens where it is not known.
   * @throws ImagemillError REDIS_*
   */
  async remove(name: string): Promise<void> {
    await this.#ask((redis) => inTransaction(redis.multi().del(this.#keyOf(name)).zrem(this.#names, name)));
  }

  /**
   * The last reports of all workers that were heard of in the last 10 minutes, by name; at most 10,000. Their `at` is by
   * this machine's clock, worked out from the age that Redis gives, since clocks of workers differ.
   * What cannot be read, such as the report of a newer version, is left out.
   * @throws ImagemillError REDIS_*
   */
  async list(): Promise<WorkerReport[]> {
    return this.#ask(async (redis) => {
      const names = await redis.zrevrange(this.#names, 0, WORKERS_MAX - 1);
      const reports: WorkerReport[] = [];
      for (let start = 0; start < names.length; start += READ_AT_ONCE) {
        const chunk = names.slice(start, start + READ_AT_ONCE);
        const { found, gone } = await this.#read(redis, chunk);
        reports.push(...found);
        // One that comes back in this very moment is on the list again with its next report.
        if (gone.length > 0) await redis.zrem(this.#names, ...gone);
      }
      return reports.sort((a, b) => (a.name < b.name ? -1 : 1));
    });
  }

  async close(): Promise<void> {
    this.#redis?.disconnect();
    this.#redis = undefined;
    return Promise.resolve();
  }

  async #read(redis: Redis, names: readonly string[]): Promise<{ found: WorkerReport[]; gone: string[] }> {
    const reads = redis.pipeline();
    for (const name of names) reads.get(this.#keyOf(name)).pttl(this.#keyOf(name));
    const replies = (await reads.exec()) ?? [];
    const nowMs = Date.now();
    const found: WorkerReport[] = [];
    const gone: string[] = [];
    names.forEach((name, index) => {
      const [getError, json] = replies[index * 2] ?? [];
      const [, remainingMs] = replies[index * 2 + 1] ?? [];
      if (getError instanceof Error) throw getError;
      if (typeof json !== 'string') {
        gone.push(name);
        return;
      }
      const report = readReport(json);
      const ageMs = KEPT_MS - Number(remainingMs);
      if (report?.name === name) found.push({ ...report, at: new Date(nowMs - ageMs).toISOString() });
    });
    return { found, gone };
  }

  async #ask<R>(question: (redis: Redis) => Promise<R>): Promise<R> {
    try {
      return await question(this.#connection());
    } catch (error) {
      if (error instanceof ImagemillError) throw error;
      throw redisFault(error, redisAddress(this.#target.redisUrl));
    }
  }

  #connection(): Redis {
    if (this.#redis === undefined) {
      this.#redis = new Redis({
        ...redisOptions(this.#target, 'request'),
        // Reports are out of date by the time Redis is back: nothing waits for it, and nothing is sent again.
        maxRetriesPerRequest: 0,
        autoResendUnfulfilledCommands: false,
        connectTimeout: SILENCE_MAX_MS,
        socketTimeout: SILENCE_MAX_MS,
      });
      // The call that fails reports the fault; without a listener it would end the process.
      this.#redis.on('error', () => {});
    }
    return this.#redis;
  }

  get #names(): string {
    return `${this.#target.prefix}:workers`;
  }

  #keyOf(name: string): string {
    return `${this.#target.prefix}:worker:${name}`;
  }
}

/** @throws the first fault of its commands, rather than that the whole was not done */
async function inTransaction(transaction: ReturnType<Redis['multi']>): Promise<void> {
  try {
    for (const [error] of (await transaction.exec()) ?? []) if (error !== null) throw error;
  } catch (error) {
    const { previousErrors } = error as { previousErrors?: readonly Error[] };
    throw previousErrors?.[0] ?? error;
  }
}

function readReport(json: string): WorkerReport | null {
  if (json.length > REPORT_CHARACTERS_MAX) return null;
  try {
    return workerReportDocument.parse(JSON.parse(json), 'worker report');
  } catch {
    return null;
  }
}
