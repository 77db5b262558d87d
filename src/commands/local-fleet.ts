import { accessMode } from '../dashboard/access/access-policy.ts';
import { ImagemillError } from '../contract/errors.ts';
import { checkRedis } from '../queue/connection.ts';
import { startEmbeddedRedis } from '../queue/embedded-redis.ts';
import type { QueueTarget } from '../queue/queues.ts';
import type { Context } from './context.ts';
import { startDashboard, type RunningDashboard } from './dashboard.ts';
import { sharedQueue, startLocalWorker, type LocalWorkerOptions } from './with-queues.ts';

const HOST = '127.0.0.1';
export const DASHBOARD_PORT = 3_000;

export interface LocalFleet {
  /** The same context, with the queue of this fleet. */
  readonly context: Context;
  readonly target: QueueTarget;
  /** Whether Redis is one of our own. */
  readonly ownsRedis: boolean;
  /** Where the dashboard is. */
  readonly address: string;
}

/**
 * Runs `work` beside a whole fleet on this machine: Redis, unless REDIS_URL names one, a worker, and a dashboard.
 * @param port of the dashboard; undefined: 3000, or any other where that is taken
 */
export async function withLocalFleet<R>(
  context: Context,
  options: LocalWorkerOptions & { readonly port?: number | undefined },
  work: (fleet: LocalFleet) => Promise<R>,
): Promise<R> {
  const shared = sharedQueue(context);
  const redis = shared === null ? await startEmbeddedRedis() : null;
  const closers: (() => Promise<void>)[] = redis === null ? [] : [() => redis.stop()];
  try {
    const target = shared ?? {
      redisUrl: redis?.url ?? '',
      prefix: context.settings.queuePrefix,
      telemetry: context.queueTelemetry,
    };
    await checkRedis(target, target.prefix);
    const worker = await startLocalWorker(context, target, options);
    closers.push(() => worker.close());
    const dashboard = await startOwnDashboard(context, target, options.port);
    closers.push(() => dashboard.close());
    const settings = { ...context.settings, redisUrl: target.redisUrl };
    return await work({
      context: { ...context, settings },
      target,
      ownsRedis: redis !== null,
      address: dashboard.address,
    });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function startOwnDashboard(
  context: Context,
  target: QueueTarget,
  port: number | undefined,
): Promise<RunningDashboard> {
  const access = accessMode({ host: HOST, ...context.settings.dashboard, proxyFrom: [], operators: [] });
  const options = { host: HOST, allow: [], access };
  try {
    return await startDashboard(context, target, { ...options, port: port ?? DASHBOARD_PORT });
  } catch (error) {
    const isTaken = error instanceof ImagemillError && error.code === 'USAGE';
    if (!isTaken || port !== undefined) throw error;
    return startDashboard(context, target, { ...options, port: 0 });
  }
}
