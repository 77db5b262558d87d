import type { Part } from '../contract/ledger.ts';
import type { CurrentJob, WorkerTotals } from '../contract/worker-report.ts';
import { RateMeter } from './rate-meter.ts';
import type { CommitOutcome, ShardKind, TrainedSteps, WorkerMetrics } from './worker-metrics.ts';

/** What a worker does, as it goes on: which jobs, how far they are, and what came of them. Its calls never throw. */
export class WorkerActivity {
  readonly #metrics: WorkerMetrics;
  readonly #rate: RateMeter;
  readonly #jobs = new Map<string, CurrentJob>();
  #totals: WorkerTotals = { images: 0, errors: 0, shards: 0, epochs: 0 };
  #onJobs: () => void = () => {};

  constructor(metrics: WorkerMetrics, rate = new RateMeter()) {
    this.#metrics = metrics;
    this.#rate = rate;
  }

  /** Calls `listener` whenever a job has started or ended. */
  onJobs(listener: () => void): void {
    this.#onJobs = listener;
  }

  jobStarted(job: CurrentJob): void {
    this.#jobs.set(job.jobId, job);
    this.#onJobs();
  }

  /** Where a job stands before anything is done: images that an earlier attempt has done are nobody's work now. */
  jobStandsAt(jobId: string | undefined, itemsDone: number, items: number | null): void {
    this.#move(jobId, itemsDone, items);
  }

  /** @param itemsDone so far; fewer than before where the attempt began anew */
  jobProgress(jobId: string | undefined, itemsDone: number): void {
    const before = this.#move(jobId, itemsDone);
    if (before !== null) this.#rate.add(Math.max(0, itemsDone - before));
  }

  jobEnded(jobId: string | undefined): void {
    this.#jobs.delete(jobId ?? '');
    this.#onJobs();
  }

  /** @param batches that the images filled; 0 where they are not worked on in batches */
  shardCommitted(jobId: string | undefined, kind: ShardKind, part: Part, batches: number): void {
    this.#metrics.shardCommitted(kind, part, batches);
    this.#add({ images: part.labelled, errors: part.items - part.labelled, shards: 1 });
    // Progress is reported now and then only; the last images were not.
    this.jobProgress(jobId, part.items);
  }

  shardUnused(kind: ShardKind, outcome: Exclude<CommitOutcome, 'committed'>): void {
    this.#metrics.shardUnused(kind, outcome);
  }

  /** @param loss of the last step; null before the first one */
  epochProgress(jobId: string | undefined, itemsDone: number, loss: number | null): void {
    this.jobProgress(jobId, itemsDone);
    if (loss !== null) this.#metrics.stepTrained(loss);
  }

  stepsCommitted(trained: TrainedSteps): void {
    this.#metrics.stepsCommitted(trained);
    this.#add({ images: trained.images });
  }

  epochEnded(outcome: CommitOutcome): void {
    this.#metrics.epochEnded(outcome);
    if (outcome === 'committed') this.#add({ epochs: 1 });
  }

  /** What there is to report. */
  snapshot(): {
    readonly jobs: CurrentJob[];
    readonly totals: WorkerTotals;
    readonly imagesPerSecond: number;
  } {
    return { jobs: [...this.#jobs.values()], totals: this.#totals, imagesPerSecond: this.#rate.perSecond() };
  }

  /** @returns where the job stood before; null where it is none of those in progress */
  #move(jobId: string | undefined, itemsDone: number, items?: number | null): number | null {
    const job = this.#jobs.get(jobId ?? '');
    if (job === undefined) return null;
    this.#jobs.set(job.jobId, { ...job, itemsDone, ...(items === undefined ? {} : { items }) });
    return job.itemsDone;
  }

  #add(added: Partial<WorkerTotals>): void {
    const { images = 0, errors = 0, shards = 0, epochs = 0 } = added;
    this.#totals = {
      images: this.#totals.images + images,
      errors: this.#totals.errors + errors,
      shards: this.#totals.shards + shards,
      epochs: this.#totals.epochs + epochs,
    };
  }
}
