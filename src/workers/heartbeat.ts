import { setTimeout as sleep } from 'node:timers/promises';
import { asImagemillError } from '../contract/errors.ts';
import type { WorkerReport } from '../contract/worker-report.ts';
import type { WorkerRegistry } from '../queue/worker-registry.ts';
import type { Logger } from '../telemetry/logger.ts';

const BEAT_EVERY_MS = 5_000;
const APART_AT_LEAST_MS = 1_000;
/** How long a worker that ends waits for Redis to forget it; without that it is shown as lost for a while. */
const FAREWELL_MS = 1_000;

export interface HeartbeatOptions {
  readonly name: string;
  readonly registry: Pick<WorkerRegistry, 'report' | 'remove' | 'close'>;
  readonly collect: () => WorkerReport;
  readonly logger: Logger;
  readonly beatEveryMs?: number;
  readonly apartAtLeastMs?: number;
}

/**
 * Tells every 5 s that a worker lives, and earlier when it is told that something has changed. One report is on its way
 * at most, and none is kept: while Redis is away nothing waits, piles up, or ends the worker.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #beatEveryMs: number;
  readonly #apartAtLeastMs: number;
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> | null = null;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #isChanged = false;
  #isStopped = false;
  #hasFailed = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#beatEveryMs = options.beatEveryMs ?? BEAT_EVERY_MS;
    this.#apartAtLeastMs = options.apartAtLeastMs ?? APART_AT_LEAST_MS;
  }

  /** Begins; the first report goes out at once. */
  start(): void {
    this.changed();
  }

  /** Something has changed that should not wait for the next beat: at most one report a second goes out for it. */
  changed(): void {
    this.#isChanged = true;
    this.#schedule();
  }

  /** Ends, and has the worker forgotten; takes a second at most. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const { name, registry, logger } = this.#options;
    // A report that comes after would bring it back.
    const forgotten = Promise.resolve(this.#sending)
      .then(() => registry.remove(name))
      .catch((error: unknown) => logger.debug({ err: error }, 'the worker could not sign off'));
    await Promise.race([forgotten, sleep(FAREWELL_MS, undefined, { ref: false })]);
    await registry.close();
  }

  #schedule(): void {
    // What is on its way schedules the next one when it has arrived.
    if (this.#isStopped || this.#sending !== null) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const apartMs = this.#isChanged ? this.#apartAtLeastMs : this.#beatEveryMs;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#sending = this.#send();
      },
      Math.max(0, this.#sentAtMs + apartMs - performance.now()),
    );
    this.#timer.unref();
  }

  async #send(): Promise<void> {
    const { registry, collect } = this.#options;
    this.#isChanged = false;
    this.#sentAtMs = performance.now();
    try {
      await registry.report(collect());
      this.#hasFailed = false;
    } catch (error) {
      this.#complain(error);
    } finally {
      this.#sending = null;
      this.#schedule();
    }
  }

  /** Once, until it works again. That Redis is away the queues themselves say. */
  #complain(error: unknown): void {
    const isAway = asImagemillError(error).code === 'REDIS_UNREACHABLE';
    if (!this.#hasFailed) {
      this.#options.logger[isAway ? 'debug' : 'warn']({ err: error }, 'the worker could not report');
    }
    this.#hasFailed = true;
  }
}
