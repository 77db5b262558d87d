import { EXIT, ImagemillError } from '../contract/errors.ts';
import { accessMode, isLoopback } from '../dashboard/access/access-policy.ts';
import { createDashboard, type Dashboard } from '../dashboard/server.ts';
import { checkRedis } from '../queue/connection.ts';
import { Queues, type QueueTarget } from '../queue/queues.ts';
import { WorkerRegistry } from '../queue/worker-registry.ts';
import { interruption, type Context } from './context.ts';
import { sharedQueue } from './with-queues.ts';

export interface DashboardCommandOptions {
  readonly host: string;
  readonly port: number;
  readonly proxyUserHeader?: string;
  readonly proxyFrom: string[];
  readonly operator: string[];
  readonly allow: string[];
}

/** `imagemill dashboard`: pages, API, live events and metrics, until SIGINT or SIGTERM. */
export async function dashboard(context: Context, options: DashboardCommandOptions): Promise<number> {
  const target = sharedQueue(context);
  if (target === null) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL, got none: a dashboard shows a shared queue (imagemill dev starts one on this machine)',
    );
  }
  const access = accessModeOf(context, options);
  await checkRedis(target, target.prefix);
  const running = await startDashboard(context, target, { ...options, access });
  try {
    context.stderr.write(`dashboard at ${running.address}\n`);
    await interruption(context);
  } finally {
    await running.close();
  }
  return EXIT.done;
}

function accessModeOf({ settings }: Context, options: DashboardCommandOptions) {
  return accessMode({
    host: options.host,
    ...settings.dashboard,
    proxyUserHeader: options.proxyUserHeader,
    proxyFrom: options.proxyFrom,
    operators: options.operator,
  });
}

export interface RunningDashboard {
  /** `http://127.0.0.1:3000` */
  readonly address: string;
  close(): Promise<void>;
}

/** Starts a dashboard in this process. @throws ImagemillError USAGE where the port is taken */
export async function startDashboard(
  context: Context,
  target: QueueTarget,
  options: Pick<DashboardCommandOptions, 'host' | 'port' | 'allow'> & {
    readonly access: Parameters<typeof createDashboard>[0]['access'];
  },
): Promise<RunningDashboard> {
  const queues = new Queues(target);
  const workers = new WorkerRegistry(target);
  const closeQueues = () => Promise.all([queues.close(), workers.close()]);
  let running: Dashboard | undefined;
  try {
    running = await createDashboard({
      resolver: context.resolver,
      index: context.index,
      homeUri: context.settings.home,
      queues,
      workers,
      access: options.access,
      locations: locationsOf(options),
      batchSize: context.settings.worker.batchSize,
      logger: context.logger,
      environment: context.environment,
    });
    const address = await running.listen(options.host, options.port);
    return {
      address,
      close: async () => {
        await running?.close();
        await closeQueues();
      },
    };
  } catch (error) {
    await running?.close();
    await closeQueues();
    throw error;
  }
}

/**
 * Whoever is on this machine could read its files anyway; others, and those whom a proxy here lets in, get object
 * storage, unless told otherwise.
 */
function locationsOf({ host, allow, access }: Parameters<typeof startDashboard>[2]): string[] | null {
  if (allow.length > 0) return allow;
  return isLoopback(host) && access.kind !== 'proxy' ? null : ['s3://'];
}
