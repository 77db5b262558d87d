import { EXIT, ImagemillError } from '../contract/errors.ts';
import type { QueueName } from '../contract/queues.ts';
import { checkRedis, redisAddress } from '../queue/connection.ts';
import type { QueueTarget } from '../queue/queues.ts';
import { watchEventLoop } from '../telemetry/event-loop-delay.ts';
import { createMetricsRegister, type MetricsRegister } from '../telemetry/metrics.ts';
import { startMetricsServer, type MetricsServer } from '../telemetry/metrics-server.ts';
import { interruption, type Context } from './context.ts';
import { sharedQueue, startLocalWorker, workerName, type LocalWorkerOptions } from './with-queues.ts';
import { HealthFile } from '../workers/health-file.ts';
import type { RunningWorker } from '../workers/worker.ts';

interface WorkerCommandOptions extends LocalWorkerOptions {
  readonly queues: QueueName[];
  readonly healthFile?: string;
  readonly metricsPort?: number;
  readonly metricsHost: string;
}

/** `imagemill worker`: serves the queues of REDIS_URL until SIGINT or SIGTERM. */
export async function worker(context: Context, options: WorkerCommandOptions): Promise<number> {
  const target = sharedQueue(context);
  if (target === null) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL, got none: a worker serves a shared queue (imagemill dev starts one on this machine)',
    );
  }
  await checkRedis(target, target.prefix);
  const { healthFile } = options;
  if (healthFile === undefined) return serve(context, target, options);
  const health = await HealthFile.create(healthFile, context.logger);
  try {
    return await serve(context, target, options, health);
  } finally {
    await health.remove();
  }
}

async function serve(
  context: Context,
  target: QueueTarget,
  options: WorkerCommandOptions,
  health?: HealthFile,
): Promise<number> {
  const eventLoop = watchEventLoop();
  const register = createMetricsRegister();
  let running: RunningWorker | undefined;
  // Before any work is taken: a port that is not free shall not leave jobs behind.
  const server = await serveMetrics(options, register, () => queueAnswers(running));
  running = await startLocalWorker(context, target, { ...options, register });
  if (server !== undefined) context.stderr.write(`metrics are at ${server.url}/metrics\n`);
  context.stderr.write(
    `worker ${workerName()} serves ${options.queues.join(', ')} of ${redisAddress(target.redisUrl)} on ${options.device}\n`,
  );
  void health?.keep(() => queueAnswers(running));
  await interruption(context);
  await running.close();
  await server?.close();
  const control = eventLoop.read();
  context.stderr.write(
    `worker ${workerName()} stopped; event loop delay p99: control ${control.p99Ms.toFixed(0)} ms, compute ${running.computeDelayP99Ms().toFixed(0)} ms\n`,
  );
  return EXIT.done;
}

function serveMetrics(
  { metricsPort, metricsHost }: WorkerCommandOptions,
  register: MetricsRegister,
  answers: () => Promise<void>,
): Promise<MetricsServer | undefined> {
  if (metricsPort === undefined) return Promise.resolve(undefined);
  return startMetricsServer({ port: metricsPort, host: metricsHost, register, answers });
}

/** @throws Error where the worker has not begun yet */
async function queueAnswers(running: RunningWorker | undefined): Promise<void> {
  if (running === undefined) throw new Error('the worker is starting');
  await running.queueAnswers();
}
