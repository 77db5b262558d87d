import { hostname } from 'node:os';
import { VERSION } from '../config/version.ts';
import type { QueueName } from '../contract/queues.ts';
import {
  workerReportDocument,
  type GpuFacts,
  type ProcessFacts,
  type WorkerReport,
} from '../contract/worker-report.ts';
import type { ComputeFacts } from './compute/protocol.ts';
import { CpuMeter, cpuSecondsOfThisProcess } from './cpu-meter.ts';
import type { WorkerActivity } from './worker-activity.ts';
import type { WorkerGauges, WorkerIdentity } from './worker-metrics.ts';

/** Where the facts of a worker come from. */
export interface ReportSources {
  readonly identity: WorkerIdentity;
  readonly queues: readonly QueueName[];
  readonly activity: Pick<WorkerActivity, 'snapshot'>;
  readonly compute: () => (ComputeFacts & { readonly pid: number }) | null;
  readonly gpu: () => GpuFacts | null;
  readonly eventLoop: () => { readonly recentP99Ms: number };
}

/** Puts together what a worker tells of itself. */
export class ReportCollector {
  readonly #sources: ReportSources;
  readonly #startedAt = new Date().toISOString();
  readonly #controlCpu = new CpuMeter();
  readonly #computeCpu = new CpuMeter();
  #phase: 'starting' | 'ready' | 'stopping' = 'starting';

  constructor(sources: ReportSources) {
    this.#sources = sources;
  }

  /** Says that the worker takes jobs from now on. */
  ready(): void {
    this.#phase = 'ready';
  }

  stopping(): void {
    this.#phase = 'stopping';
  }

  /** What a scrape gets. */
  gauges(): WorkerGauges {
    const { compute, gpu, eventLoop } = this.#sources;
    const facts = compute();
    return {
      control: {
        eventLoopDelayP99Ms: eventLoop().recentP99Ms,
        residentBytes: process.memoryUsage.rss(),
      },
      compute:
        facts === null
          ? null
          : { eventLoopDelayP99Ms: facts.recentDelayP99Ms, residentBytes: facts.residentBytes },
      gpu: gpu(),
    };
  }

  /** The report of this moment; CPU use is that since the one before. */
  report(): WorkerReport {
    const { identity, queues, activity, compute } = this.#sources;
    const { jobs, totals, imagesPerSecond } = activity.snapshot();
    const { control, gpu } = this.gauges();
    return {
      schema: workerReportDocument.id,
      ...identity,
      host: hostname(),
      pid: process.pid,
      version: VERSION,
      queues: [...queues],
      startedAt: this.#startedAt,
      at: new Date().toISOString(),
      state: this.#stateOf(jobs.length),
      jobs,
      imagesPerSecond,
      totals,
      control: {
        pid: process.pid,
        ...control,
        cpuCores: this.#controlCpu.coresSinceLast(process.pid, cpuSecondsOfThisProcess(), performance.now()),
      },
      compute: this.#computeFacts(compute()),
      gpu,
    };
  }

  #stateOf(jobs: number): WorkerReport['state'] {
    if (this.#phase !== 'ready') return this.#phase;
    return jobs > 0 ? 'working' : 'idle';
  }

  #computeFacts(facts: ReturnType<ReportSources['compute']>): ProcessFacts | null {
    if (facts === null) return null;
    const { pid, recentDelayP99Ms, residentBytes, cpuSeconds } = facts;
    const cpuCores = this.#computeCpu.coresSinceLast(pid, cpuSeconds, performance.now());
    return { pid, eventLoopDelayP99Ms: recentDelayP99Ms, residentBytes, cpuCores };
  }
}
