import type { Processor } from 'bullmq';
import { VERSION } from '../config/version.ts';
import type { QueueName } from '../contract/queues.ts';
import type { QueueTarget } from '../queue/queues.ts';
import { WorkerRegistry } from '../queue/worker-registry.ts';
import { watchEventLoop } from '../telemetry/event-loop-delay.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createMetricsRegister, type MetricsRegister } from '../telemetry/metrics.ts';
import type { ComputeEnd } from './compute/compute-host.ts';
import { Heartbeat } from './heartbeat.ts';
import { watchGpu } from './nvidia-smi.ts';
import { observeProcessor } from './observe-processor.ts';
import { ReportCollector, type ReportSources } from './report-collector.ts';
import { WorkerActivity } from './worker-activity.ts';
import { WorkerMetrics } from './worker-metrics.ts';

export interface WorkerTelemetryOptions {
  readonly target: QueueTarget;
  readonly queues: readonly QueueName[];
  readonly name: string;
  readonly device: string;
  readonly engine: string;
  readonly visibleGpus: string | undefined;
  readonly register: MetricsRegister | undefined;
  readonly logger: Logger;
}

/** What a worker tells of itself: reports to Redis, for whoever watches the fleet, and metrics, for whoever scrapes it. */
export class WorkerTelemetry {
  readonly activity: WorkerActivity;
  readonly #metrics: WorkerMetrics;
  readonly #collector: ReportCollector;
  readonly #heartbeat: Heartbeat;
  readonly #stopWatching: () => void;

  /** @param compute what the compute process last told of itself */
  constructor(
    { target, queues, name, device, engine, visibleGpus, register, logger }: WorkerTelemetryOptions,
    compute: ReportSources['compute'],
  ) {
    const identity = { name, device, engine, version: VERSION };
    const eventLoop = watchEventLoop();
    const gpu = watchGpu(device, visibleGpus);
    this.#stopWatching = () => eventLoop.stop();
    this.#metrics = new WorkerMetrics(register ?? createMetricsRegister());
    this.activity = new WorkerActivity(this.#metrics);
    this.#collector = new ReportCollector({
      identity,
      queues,
      activity: this.activity,
      compute,
      gpu: () => gpu.read(),
      eventLoop: () => eventLoop.read(),
    });
    this.#metrics.watch(identity, () => this.#collector.gauges());
    this.#heartbeat = new Heartbeat({
      name,
      registry: new WorkerRegistry(target),
      collect: () => this.#collector.report(),
      logger,
    });
    this.activity.onJobs(() => this.#heartbeat.changed());
    this.#heartbeat.start();
  }

  /** The same processor, observed. */
  observe<R>(queue: QueueName, processor: Processor<unknown, R>): Processor<unknown, R> {
    return observeProcessor(queue, processor, this.activity, this.#metrics);
  }

  computeEnded(how: ComputeEnd): void {
    this.#metrics.computeEnded(how);
  }

  /** Says that the worker takes jobs from now on. */
  ready(): void {
    this.#collector.ready();
    this.#heartbeat.changed();
  }

  stopping(): void {
    this.#collector.stopping();
    this.#heartbeat.changed();
  }

  /** Has the worker forgotten; takes a second at most. */
  async close(): Promise<void> {
    this.#stopWatching();
    await this.#heartbeat.stop();
  }
}
