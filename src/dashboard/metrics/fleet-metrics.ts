import { Gauge } from 'prom-client';
import { isLost, type WorkerReport } from '../../contract/worker-report.ts';
import { readQueueFigures, type QueueFigures } from '../../queue/queue-metrics.ts';
import type { Queues } from '../../queue/queues.ts';
import type { WorkerRegistry } from '../../queue/worker-registry.ts';
import type { MetricsRegister } from '../../telemetry/metrics.ts';

/** Figures are asked for at most so often, however many scrape. */
const KEPT_MS = 5_000;
/** How long a scrape waits for Redis. */
const WAIT_MS = 1_500;

export interface FleetMetricsOptions {
  readonly queues: Queues;
  readonly workers: Pick<WorkerRegistry, 'list'>;
  readonly register: MetricsRegister;
}

interface Figures {
  readonly queues: readonly QueueFigures[];
  readonly workers: readonly WorkerReport[];
}

/**
 * Puts gauges on a register that say how full the queues are and which workers live. They are filled when somebody
 * scrapes, from figures that are at most 5 s old. Without Redis a scrape is answered all the same, in less than 2 s, with
 * `imagemill_redis_up` 0 and nothing else.
 */
export function createFleetMetrics(options: FleetMetricsOptions): void {
  const { register } = options;
  const figures = new FiguresCache(() => readFigures(options));
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    fill: (gauge: Gauge<L>, figures: Figures | null) => void,
  ): void => {
    void new Gauge<L>({
      name: `imagemill_${name}`,
      help,
      labelNames,
      registers: [register],
      async collect() {
        const current = await figures.get();
        // What is not known now must not be told as it was.
        this.reset();
        fill(this, current);
      },
    });
  };
  gauge('redis_up', 'Whether Redis answers: 1 or 0.', [], (gauge, current) => {
    gauge.set(current === null ? 0 : 1);
  });
  gauge('queue_jobs', 'Jobs on each queue, by state.', ['queue', 'state'], (gauge, current) => {
    for (const { queue, jobs } of current?.queues ?? []) {
      for (const [state, count] of Object.entries(jobs)) gauge.set({ queue, state }, count);
    }
  });
  gauge(
    'queue_oldest_waiting_seconds',
    'Age of the job that has waited longest; 0 where none waits.',
    ['queue'],
    (gauge, current) => {
      for (const { queue, oldestWaitingSeconds } of current?.queues ?? []) {
        gauge.set({ queue }, oldestWaitingSeconds);
      }
    },
  );
  gauge(
    'workers',
    'Workers: live, or lost (not heard of for 15 s, but in the last 10 minutes).',
    ['state'],
    (gauge, current) => {
      if (current === null) return;
      const lost = current.workers.filter((report) => isLost(report, Date.now())).length;
      gauge.set({ state: 'live' }, current.workers.length - lost);
      gauge.set({ state: 'lost' }, lost);
    },
  );
}

async function readFigures({ queues, workers }: FleetMetricsOptions): Promise<Figures> {
  const [figures, reports] = await Promise.all([readQueueFigures(queues), workers.list()]);
  return { queues: figures, workers: reports };
}

/** Asks once at a time, and not again for 5 s. */
class FiguresCache {
  readonly #read: () => Promise<Figures>;
  #current: Figures | null = null;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  readonly #waiting = new Set<() => void>();

  constructor(read: () => Promise<Figures>) {
    this.#read = read;
  }

  /** @returns null where Redis does not answer, or has not within 1.5 s */
  async get(): Promise<Figures | null> {
    if (!this.#isAsking && performance.now() - this.#askedAtMs >= KEPT_MS) void this.#ask();
    if (this.#isAsking) await this.#answered();
    return this.#current;
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    this.#askedAtMs = performance.now();
    try {
      this.#current = await this.#read();
    } catch {
      this.#current = null;
    } finally {
      this.#isAsking = false;
      for (const resume of this.#waiting) resume();
    }
  }

  /** Resolves when the answer has come; after 1.5 s what was known before is forgotten. */
  async #answered(): Promise<void> {
    let resume: () => void = () => {};
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      resume = resolve;
      this.#waiting.add(resume);
      timer = setTimeout(() => {
        this.#current = null;
        resolve();
      }, WAIT_MS);
    });
    clearTimeout(timer);
    this.#waiting.delete(resume);
  }
}
