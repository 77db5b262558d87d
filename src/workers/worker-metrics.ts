import { Counter, Gauge, Histogram } from 'prom-client';
import type { ErrorCode } from '../contract/errors.ts';
import type { Part, StageSeconds } from '../contract/ledger.ts';
import { QUEUE_NAMES, type QueueName } from '../contract/queues.ts';
import type { GpuFacts } from '../contract/worker-report.ts';
import type { MetricsRegister } from '../telemetry/metrics.ts';
import { COMPUTE_ENDS, type ComputeEnd } from './compute/compute-host.ts';

const MS_PER_SECOND = 1_000;
/** From a shard of a few images to an epoch of a day. */
const JOB_SECONDS_BUCKETS = [0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1_800, 3_600, 14_400, 86_400];

const SHARD_KINDS = ['classify', 'evaluate', 'prepare'] as const;
const COMMIT_OUTCOMES = ['committed', 'lost_race', 'skipped'] as const;
const JOB_OUTCOMES = ['completed', 'failed', 'retried', 'handed_back'] as const;

/** What is done to the images of a shard: the kind of its run. */
export type ShardKind = (typeof SHARD_KINDS)[number];
/** `lost_race`: another attempt committed first; `skipped`: there was a commit before the attempt began. */
export type CommitOutcome = (typeof COMMIT_OUTCOMES)[number];
/** `handed_back`: no attempt was used; `failed`: it will not be tried again by itself. */
export type JobOutcome = (typeof JOB_OUTCOMES)[number];

/** What one commit adds to an epoch. */
export interface TrainedSteps {
  readonly steps: number;
  readonly images: number;
  readonly seconds: number;
  readonly dataWaitSeconds: number;
}

interface ProcessGauges {
  readonly eventLoopDelayP99Ms: number;
  readonly residentBytes: number;
}

/** What is true at the moment of a scrape. */
export interface WorkerGauges {
  readonly control: ProcessGauges;
  readonly compute: ProcessGauges | null;
  readonly gpu: GpuFacts | null;
}

export interface WorkerIdentity {
  readonly name: string;
  readonly device: string;
  readonly engine: string;
  readonly version: string;
}

/**
 * The metrics of one worker. Images, stages, shards and epochs are counted when they are committed, so that a retry does
 * not count twice; tries are counted apart. A run's id is no label anywhere: there is no end of them.
 */
export class WorkerMetrics {
  readonly #register: MetricsRegister;
  readonly #images: Counter<'kind' | 'outcome'>;
  readonly #itemErrors: Counter<'code'>;
  readonly #batches: Counter<'kind'>;
  readonly #stageSeconds: Counter<'kind' | 'stage'>;
  readonly #bytesRead: Counter<'kind'>;
  readonly #shards: Counter<'kind' | 'outcome'>;
  readonly #epochs: Counter<'outcome'>;
  readonly #trainSteps: Counter<never>;
  readonly #trainLoss: Gauge<never>;
  readonly #attempts: Counter<'queue' | 'outcome'>;
  readonly #jobErrors: Counter<'queue' | 'code'>;
  readonly #jobSeconds: Histogram<'queue'>;
  readonly #computeRestarts: Counter<'reason'>;

  constructor(register: MetricsRegister) {
    this.#register = register;
    this.#images = this.#counter('images_total', 'Images of committed work.', ['kind', 'outcome']);
    this.#itemErrors = this.#counter('item_errors_total', 'Images that became error rows.', ['code']);
    this.#batches = this.#counter(
      'batches_total',
      'Batches of committed work, counted in the size that the run asked for.',
      ['kind'],
    );
    this.#stageSeconds = this.#counter(
      'stage_seconds_total',
      'Time in each stage of committed work, summed over images or batches; stages overlap.',
      ['kind', 'stage'],
    );
    this.#bytesRead = this.#counter('bytes_read_total', 'Bytes of images of committed work.', ['kind']);
    this.#shards = this.#counter('shards_total', 'Shards, by what became of the attempt.', [
      'kind',
      'outcome',
    ]);
    this.#epochs = this.#counter('epochs_total', 'Epochs, by what became of the attempt.', ['outcome']);
    this.#trainSteps = this.#counter('train_steps_total', 'Steps of training that were committed.', []);
    this.#trainLoss = this.#gauge('train_loss', 'Loss of the last step of training.', []);
    this.#attempts = this.#counter('job_attempts_total', 'Tries of jobs, by how they ended.', [
      'queue',
      'outcome',
    ]);
    this.#jobErrors = this.#counter('job_errors_total', 'Tries of jobs that failed.', ['queue', 'code']);
    this.#jobSeconds = new Histogram({
      name: 'imagemill_job_seconds',
      help: 'Duration of tries of jobs.',
      labelNames: ['queue'],
      buckets: JOB_SECONDS_BUCKETS,
      registers: [register],
    });
    this.#computeRestarts = this.#counter(
      'compute_restarts_total',
      'Compute processes that ended before their time.',
      ['reason'],
    );
    this.#beginAtZero();
  }

  /** Says who the worker is, and calls `read` at every scrape. */
  watch({ name, device, engine, version }: WorkerIdentity, read: () => WorkerGauges): void {
    const info = this.#gauge('worker_info', 'Who the worker is; always 1.', [
      'name',
      'device',
      'engine',
      'version',
    ]);
    info.set({ name, device, engine, version }, 1);
    this.#collected('device_utilisation_ratio', 'How busy the device is, 0 to 1.', [], (gauge) => {
      const utilisation = read().gpu?.utilisation ?? null;
      if (utilisation !== null) gauge.set(utilisation);
    });
    this.#collected('device_memory_bytes', 'Memory of the device.', ['state'], (gauge) => {
      const { memoryUsedBytes = null, memoryTotalBytes = null } = read().gpu ?? {};
      if (memoryUsedBytes !== null) gauge.set({ state: 'used' }, memoryUsedBytes);
      if (memoryTotalBytes !== null) gauge.set({ state: 'total' }, memoryTotalBytes);
    });
    this.#collectedByProcess(
      'event_loop_delay_p99_seconds',
      'How late event loops ran in the last 10 to 20 seconds, 99th percentile.',
      read,
      ({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms / MS_PER_SECOND,
    );
    this.#collectedByProcess(
      'process_resident_bytes',
      'Memory of the processes of the worker.',
      read,
      ({ residentBytes }) => residentBytes,
    );
  }

  /** @param batches that its images filled; 0 where they are not worked on in batches */
  shardCommitted(kind: ShardKind, part: Part, batches: number): void {
    this.#shards.inc({ kind, outcome: 'committed' });
    this.#images.inc({ kind, outcome: doneOutcome(kind) }, part.labelled);
    this.#images.inc({ kind, outcome: 'error' }, part.items - part.labelled);
    for (const [code, count] of Object.entries(part.errorsByCode)) this.#itemErrors.inc({ code }, count);
    if (batches > 0) this.#batches.inc({ kind }, batches);
    this.#bytesRead.inc({ kind }, part.bytesRead);
    for (const stage of Object.keys(part.stages) as (keyof StageSeconds)[]) {
      this.#stageSeconds.inc({ kind, stage }, part.stages[stage]);
    }
  }

  shardUnused(kind: ShardKind, outcome: Exclude<CommitOutcome, 'committed'>): void {
    this.#shards.inc({ kind, outcome });
  }

  stepsCommitted({ steps, images, seconds, dataWaitSeconds }: TrainedSteps): void {
    this.#trainSteps.inc(steps);
    this.#batches.inc({ kind: 'train' }, steps);
    this.#images.inc({ kind: 'train', outcome: 'trained' }, images);
    this.#stageSeconds.inc({ kind: 'train', stage: 'data_wait' }, dataWaitSeconds);
    this.#stageSeconds.inc({ kind: 'train', stage: 'compute' }, Math.max(0, seconds - dataWaitSeconds));
  }

  epochEnded(outcome: CommitOutcome): void {
    this.#epochs.inc({ outcome });
  }

  stepTrained(loss: number): void {
    this.#trainLoss.set(loss);
  }

  /** @param code why it failed; null where it did not */
  jobEnded(queue: QueueName, outcome: JobOutcome, seconds: number, code: ErrorCode | null): void {
    this.#attempts.inc({ queue, outcome });
    this.#jobSeconds.observe({ queue }, seconds);
    if (code !== null) this.#jobErrors.inc({ queue, code });
  }

  computeEnded(reason: ComputeEnd): void {
    this.#computeRestarts.inc({ reason });
  }

  /** A counter that first appears with what it counted has, to whoever looks at its growth, counted nothing. */
  #beginAtZero(): void {
    for (const kind of SHARD_KINDS) {
      for (const outcome of COMMIT_OUTCOMES) this.#shards.inc({ kind, outcome }, 0);
      for (const outcome of [doneOutcome(kind), 'error']) this.#images.inc({ kind, outcome }, 0);
    }
    this.#images.inc({ kind: 'train', outcome: 'trained' }, 0);
    for (const outcome of COMMIT_OUTCOMES) this.#epochs.inc({ outcome }, 0);
    for (const queue of QUEUE_NAMES) {
      for (const outcome of JOB_OUTCOMES) this.#attempts.inc({ queue, outcome }, 0);
    }
    for (const reason of COMPUTE_ENDS) this.#computeRestarts.inc({ reason }, 0);
    // Nobody has trained yet, and a loss of zero would be a good one.
    this.#trainLoss.remove();
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name: `imagemill_${name}`, help, labelNames, registers: [this.#register] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> {
    return new Gauge({ name: `imagemill_${name}`, help, labelNames, registers: [this.#register] });
  }

  /** A gauge that is filled anew at every scrape: what is not known now must not be told as it was. */
  #collected<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    fill: (gauge: Gauge<L>) => void,
  ): void {
    const registers = [this.#register];
    const collect = function (this: Gauge<L>) {
      this.reset();
      if (labelNames.length === 0) this.remove();
      fill(this);
    };
    void new Gauge<L>({ name: `imagemill_${name}`, help, labelNames, registers, collect });
  }

  #collectedByProcess(
    name: string,
    help: string,
    read: () => WorkerGauges,
    valueOf: (gauges: ProcessGauges) => number,
  ): void {
    this.#collected(name, help, ['process'], (gauge) => {
      const { control, compute } = read();
      gauge.set({ process: 'control' }, valueOf(control));
      if (compute !== null) gauge.set({ process: 'compute' }, valueOf(compute));
    });
  }
}

function doneOutcome(kind: ShardKind): 'labelled' | 'prepared' {
  return kind === 'prepare' ? 'prepared' : 'labelled';
}
