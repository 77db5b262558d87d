import { hostname } from 'node:os';
import { QUEUE_NAMES } from '../contract/queues.ts';
import type { ShardedRun } from '../contract/run.ts';
import { datasetSource } from '../pipeline/dataset/dataset-source.ts';
import { openDataset } from '../pipeline/dataset/open-dataset.ts';
import { requireEngine } from '../pipeline/engine/require-engine.ts';
import { openSource } from '../pipeline/source/open-source.ts';
import { retrySource } from '../pipeline/source/retry-source.ts';
import type { Source } from '../pipeline/source/source.ts';
import { planRun } from '../producer/plan-run.ts';
import { startScheduledTrain } from '../producer/start-scheduled-train.ts';
import { checkRedis, redisAddress } from '../queue/connection.ts';
import { checkEmbeddedRedis, startEmbeddedRedis } from '../queue/embedded-redis.ts';
import { isRedisFault, redisFault } from '../queue/redis-faults.ts';
import { Queues, type QueueTarget } from '../queue/queues.ts';
import { openErrorsOf } from '../storage/generations.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricsRegister } from '../telemetry/metrics.ts';
import type { Planner } from '../workers/plan-processor.ts';
import { startWorker, type RunningWorker } from '../workers/worker.ts';
import type { Context } from './context.ts';

/** Where planning and working meet: neither the producer nor the workers know the other. */
export function createPlanner(context: Context): Planner {
  return async function* (ledger, run, from, signal) {
    yield* planRun(ledger, run, await sourceOf(context, ledger, run), from, signal);
  };
}

async function sourceOf({ resolver }: Context, ledger: RunLedger, { spec }: ShardedRun): Promise<Source> {
  if (spec.kind === 'evaluate') {
    return datasetSource(await openDataset(resolver, spec.dataset.uri), spec.split);
  }
  if (spec.kind === 'classify' && spec.retryOf !== undefined) {
    return retrySource(await openErrorsOf(ledger, spec.retryOf, resolver), spec.format);
  }
  return openSource(spec.source, resolver);
}

export interface LocalWorkerOptions {
  readonly device: string;
  readonly engine: string;
}

/**
 * Starts a worker for every queue in this process.
 * @throws ImagemillError ENGINE_UNAVAILABLE
 */
export async function startLocalWorker(
  context: Context,
  target: QueueTarget,
  options: LocalWorkerOptions & { queues?: WorkerQueues; register?: MetricsRegister | undefined },
): Promise<RunningWorker> {
  const { tensorflowDirectory } = context.settings.worker;
  await requireEngine(
    { ...options, tensorflowDirectory },
    { environment: process.env, signal: context.interrupted },
  );
  return startWorker({
    target,
    queues: options.queues ?? QUEUE_NAMES,
    resolver: context.resolver,
    planner: createPlanner(context),
    startScheduled: (schedule, queues) =>
      startScheduledTrain(schedule, context.resolver, context.index, queues),
    settings: context.settings.worker,
    engine: options.engine,
    device: options.device,
    name: workerName(),
    logger: context.logger,
    register: options.register,
  });
}

type WorkerQueues = Parameters<typeof startWorker>[0]['queues'];

export function workerName(): string {
  return `${hostname()}-${process.pid}`;
}

/**
 * Runs `work` with the queues of REDIS_URL or, where that is not set, with a private Redis and a worker in this
 * process that live as long as `work` does: the same code as a fleet.
 * @throws ImagemillError REDIS_UNREACHABLE, REDIS_REFUSED, REDIS_SERVER_MISSING
 */
export async function withQueues<R>(
  context: Context,
  local: LocalWorkerOptions,
  work: (queues: Queues, target: QueueTarget) => Promise<R>,
): Promise<R> {
  const shared = sharedQueue(context);
  if (shared !== null) {
    await checkRedis(shared, shared.prefix);
    const queues = new Queues(shared);
    try {
      context.progress.enqueued = true;
      return await work(queues, shared);
    } catch (error) {
      throw isRedisFault(error) ? redisFault(error, redisAddress(shared.redisUrl)) : error;
    } finally {
      await queues.close();
    }
  }
  const redis = await startEmbeddedRedis();
  const { queueTelemetry: telemetry } = context;
  const target = { redisUrl: redis.url, prefix: context.settings.queuePrefix, telemetry };
  const queues = new Queues(target);
  let worker: RunningWorker | undefined;
  try {
    worker = await startLocalWorker({ ...context, logger: commandLogger(context) }, target, local);
    context.progress.enqueued = true;
    return await work(queues, target);
  } finally {
    await worker?.close();
    await queues.close();
    await redis.stop();
  }
}

/**
 * Logs of a worker inside a command. Of what failed, the command itself says in one line what counts in the end: unless
 * more is asked for, warnings and errors would only repeat it, with stack traces.
 */
export function commandLogger({ logger, settings }: Context): Logger {
  return settings.logLevel === 'warn' ? logger.child({}, { level: 'fatal' }) : logger;
}

/** Checks what `withQueues` will need, before anything is written. */
export async function checkQueues(context: Context): Promise<void> {
  const shared = sharedQueue(context);
  await (shared === null ? checkEmbeddedRedis() : checkRedis(shared, shared.prefix));
}

/** The queue of REDIS_URL; null where that is not set. */
export function sharedQueue({ settings, queueTelemetry: telemetry }: Context): QueueTarget | null {
  const { redisUrl, redisTls, queuePrefix: prefix } = settings;
  return redisUrl === undefined ? null : { redisUrl, redisTls, prefix, telemetry };
}
