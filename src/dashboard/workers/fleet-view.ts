import type { Fleet } from '../../contract/api/workers.ts';
import { isLost } from '../../contract/worker-report.ts';
import { readQueueFigures } from '../../queue/queue-metrics.ts';
import type { Queues } from '../../queue/queues.ts';
import type { WorkerRegistry } from '../../queue/worker-registry.ts';

/** Asked at most so often, however many look. */
const KEPT_MS = 1_000;

/** Who works and what waits, read from Redis once for everyone who asks at about the same time. */
export class FleetView {
  readonly #workers: Pick<WorkerRegistry, 'list'>;
  readonly #queues: Queues;
  readonly #now: () => number;
  #kept: { readonly atMs: number; readonly fleet: Promise<Fleet> } | null = null;

  constructor(workers: Pick<WorkerRegistry, 'list'>, queues: Queues, now = Date.now) {
    this.#workers = workers;
    this.#queues = queues;
    this.#now = now;
  }

  /** @throws ImagemillError REDIS_* */
  read(): Promise<Fleet> {
    const atMs = this.#now();
    if (this.#kept !== null && atMs - this.#kept.atMs < KEPT_MS) return this.#kept.fleet;
    const fleet = this.#read(atMs);
    this.#kept = { atMs, fleet };
    // A fault is not kept: the next one asks again.
    fleet.catch(() => (this.#kept = null));
    return fleet;
  }

  async #read(nowMs: number): Promise<Fleet> {
    const [reports, queues] = await Promise.all([this.#workers.list(), readQueueFigures(this.#queues)]);
    const workers = reports.map(({ schema: _schema, ...report }) => ({
      ...report,
      state: isLost(report, nowMs) ? ('lost' as const) : report.state,
    }));
    return { workers, queues: queues.map((figures) => ({ ...figures, jobs: { ...figures.jobs } })) };
  }
}
