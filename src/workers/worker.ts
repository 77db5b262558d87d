import { Worker, type Processor } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerSettings } from '../config/environment.ts';
import { QUEUES, type QueueName } from '../contract/queues.ts';
import { redisOptions } from '../queue/connection.ts';
import { RedisFence } from '../queue/redis-fence.ts';
import { Queues, telemetryOf, type QueueTarget } from '../queue/queues.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricsRegister } from '../telemetry/metrics.ts';
import { ComputeHost } from './compute/compute-host.ts';
import { DeviceTurns } from './device-turns.ts';
import { IsolatedAttempts } from './isolated-attempt.ts';
import { LOCK_LOST_REASON, SHUTDOWN_REASON } from './job-outcome.ts';
import { createPlanProcessor, type Planner, type ScheduleStarter } from './plan-processor.ts';
import { RunCache } from './run-cache.ts';
import { createShardProcessor } from './shard-processor.ts';
import { createTrainProcessor } from './train-processor.ts';
import { WorkerTelemetry } from './worker-telemetry.ts';

/** Shards a device has in progress: while one computes, the next is fetched and the last is written. */
const SHARDS_IN_PROGRESS = 2;
const PLANS_IN_PROGRESS = 2;
const EPOCHS_IN_PROGRESS = 1;
/** A job's life may see many stopped workers; what bounds its tries is its attempts. */
const STALLS_MAX = 20;
/** A worker's jobs are taken up when its lock has expired, plus the time to the next look: a quarter more at most. */
const STALL_CHECKS_PER_LOCK = 4;
const STARTS_MAX = 100;
/** How long a stopping worker waits for its jobs to be handed back. */
const CLOSE_TIMEOUT_MS = 15_000;
const LAST_CLOSE_TIMEOUT_MS = 2_000;
/** Time in which an isolated attempt has to fetch an image and label it, beside decoding it. */
const ISOLATED_MARGIN_MS = 15_000;

export interface WorkerOptions {
  readonly target: QueueTarget;
  readonly queues: readonly QueueName[];
  readonly resolver: StoreResolver;
  readonly planner: Planner;
  readonly startScheduled: ScheduleStarter;
  readonly settings: WorkerSettings;
  readonly engine: string;
  readonly device: string;
  /** Unique name of this worker, kept in commits. */
  readonly name: string;
  readonly logger: Logger;
  /** Where its metrics go; nowhere that could be read where this is undefined. */
  readonly register?: MetricsRegister | undefined;
}

export interface RunningWorker {
  readonly computePid: () => number | undefined;
  readonly computeDelayP99Ms: () => number;
  /** Resolves once the queue has answered, however long that takes. */
  queueAnswers(): Promise<void>;
  /** Hands jobs in progress back to the queue, without using an attempt, and ends. */
  close(): Promise<void>;
}

/** Starts one worker: a BullMQ worker per queue, and the compute process of one device. */
export async function startWorker(given: WorkerOptions): Promise<RunningWorker> {
  const options = { ...given, logger: given.logger.child({ worker: given.name }) };
  const { target, resolver, settings, logger } = options;
  const fence = new RedisFence(target);
  const runs = new RunCache(resolver, fence);
  const queues = new Queues(target, 'worker');
  const { compute, isolated, telemetry } = openCompute(options);
  const { activity } = telemetry;
  const shared = { compute, isolated, runs, workerName: options.name, activity, logger };
  const workers: Worker[] = [];
  const serves = (queue: QueueName) => options.queues.includes(queue);
  const open = <R>(queue: QueueName, concurrency: number, processor: Processor<unknown, R>): Worker => {
    const worker = openWorker(queue, telemetry.observe(queue, processor), concurrency, options);
    workers.push(worker);
    return worker;
  };
  if (serves(QUEUES.plan)) {
    const { planner, startScheduled } = options;
    const { shardAttempts } = settings;
    open(
      QUEUES.plan,
      PLANS_IN_PROGRESS,
      createPlanProcessor({ runs, queues, planner, startScheduled, shardAttempts, activity, logger }),
    );
  }
  if (serves(QUEUES.prepare)) {
    open(QUEUES.prepare, SHARDS_IN_PROGRESS, createShardProcessor({ kind: 'prepare', ...shared }));
  }
  let turns: DeviceTurns | undefined;
  const admits = (priority: number) => turns?.admits(priority) ?? true;
  const labelling = serves(QUEUES.classify)
    ? open(QUEUES.classify, SHARDS_IN_PROGRESS, createShardProcessor({ kind: 'classify', admits, ...shared }))
    : undefined;
  if (serves(QUEUES.train)) {
    turns = labelling === undefined ? undefined : turnsOf(labelling, queues);
    // While labelling rests it does not look for shards of workers that died; they may be urgent.
    if (labelling !== undefined) workers.push(openStallWatch(QUEUES.classify, options));
    const attempts = settings.shardAttempts;
    open(QUEUES.train, EPOCHS_IN_PROGRESS, createTrainProcessor({ ...shared, queues, turns, attempts }));
  }
  if (workers.some(({ name }) => name !== QUEUES.plan)) compute.start();
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));
  telemetry.ready();

  async function close(): Promise<void> {
    telemetry.stopping();
    await Promise.all(workers.map((worker) => worker.pause(true)));
    for (const worker of workers) worker.cancelAllJobs(SHUTDOWN_REASON);
    const closed = Promise.all(workers.map((worker) => worker.close()));
    const inTime = await Promise.race([
      closed.then(() => true),
      sleep(CLOSE_TIMEOUT_MS, false, { ref: false }),
    ]);
    // Past the limit what is in progress is lost; its jobs are still handed back, or taken up when their locks expire.
    await compute.close();
    if (!inTime) await Promise.race([closed, sleep(LAST_CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    await Promise.all([queues.close(), fence.close(), telemetry.close()]);
  }
  return {
    computePid: () => compute.pid,
    computeDelayP99Ms: () => compute.eventLoopDelayP99Ms,
    queueAnswers: () => queues.answer(),
    close,
  };
}

function openCompute(worker: WorkerOptions): {
  compute: ComputeHost;
  isolated: IsolatedAttempts;
  telemetry: WorkerTelemetry;
} {
  const { device, engine, settings, logger, register } = worker;
  const { decodeConcurrency, watchdogMs, visibleGpus } = settings;
  const options = { device, engine, decodeConcurrency, watchdogMs, logger };
  const openIsolated = () => new ComputeHost({ ...options, watchdogMs: isolatedWatchdogMs(settings) });
  const compute = new ComputeHost({ ...options, onEnd: (how) => telemetry.computeEnded(how) });
  const telemetry = new WorkerTelemetry({ ...worker, visibleGpus, register }, () => compute.facts);
  return { compute, isolated: new IsolatedAttempts(openIsolated), telemetry };
}

/** Alone with one image a process need not be given longer than that image may take. */
function isolatedWatchdogMs({ watchdogMs, decodeTimeoutMs }: WorkerSettings): number {
  return Math.min(watchdogMs, decodeTimeoutMs + ISOLATED_MARGIN_MS);
}

function turnsOf(labelling: Worker, queues: Queues): DeviceTurns {
  return new DeviceTurns(queues, {
    pause: () => labelling.pause(),
    resume: () => void labelling.resume(),
  });
}

function openWorker<R>(
  queue: QueueName,
  processor: Processor<unknown, R>,
  concurrency: number,
  { target, settings, name, logger }: WorkerOptions,
): Worker {
  const worker = new Worker<unknown, R>(queue, processor, {
    connection: redisOptions(target, 'worker'),
    prefix: target.prefix,
    ...telemetryOf(target),
    name,
    concurrency,
    lockDuration: settings.lockMs,
    stalledInterval: settings.lockMs / STALL_CHECKS_PER_LOCK,
    maxStalledCount: STALLS_MAX,
    maxStartedAttempts: STARTS_MAX,
  });
  worker.on('error', (error) => logger.warn({ err: error, queue }, 'queue connection'));
  worker.on('lockRenewalFailed', (jobIds: string[]) => {
    // Another worker may hold the job by now. Our result could still win its commit, but the device has better to do.
    for (const id of jobIds) worker.cancelJob(id, LOCK_LOST_REASON);
    logger.warn({ queue, jobs: jobIds }, 'locks could not be renewed: what was attempted is given up');
  });
  return worker;
}

/** Takes no jobs: only puts those of workers that died back on the queue. */
function openStallWatch(queue: QueueName, { target, settings, name, logger }: WorkerOptions): Worker {
  const watch = new Worker(queue, null, {
    connection: redisOptions(target, 'worker'),
    prefix: target.prefix,
    name: `${name}-watch`,
    autorun: false,
    stalledInterval: settings.lockMs / STALL_CHECKS_PER_LOCK,
    maxStalledCount: STALLS_MAX,
  });
  watch.on('error', (error) => logger.warn({ err: error, queue }, 'queue connection'));
  void watch.startStalledCheckTimer();
  return watch;
}
