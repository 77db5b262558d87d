import { once } from 'node:events';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import type { QueueName } from '../contract/queues.ts';
import { checkRedis, redisAddress } from '../queue/connection.ts';
import { startEmbeddedRedis } from '../queue/embedded-redis.ts';
import type { QueueTarget } from '../queue/queues.ts';
import { watchEventLoop } from '../telemetry/event-loop-delay.ts';
import type { Context } from './context.ts';
import { sharedQueue, startLocalWorker, workerName, type LocalWorkerOptions } from './with-queues.ts';
import { HealthFile } from '../workers/health-file.ts';

interface WorkerCommandOptions extends LocalWorkerOptions {
  readonly queues: QueueName[];
  readonly healthFile?: string;
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
  const running = await startLocalWorker(context, target, options);
  context.stderr.write(
    `worker ${workerName()} serves ${options.queues.join(', ')} of ${redisAddress(target.redisUrl)} on ${options.device}\n`,
  );
  void health?.keep(() => running.queueAnswers());
  await interrupted(context);
  await running.close();
  const control = eventLoop.read();
  context.stderr.write(
    `worker ${workerName()} stopped; event loop delay p99: control ${control.p99Ms.toFixed(0)} ms, compute ${running.computeDelayP99Ms().toFixed(0)} ms\n`,
  );
  return EXIT.done;
}

/** `imagemill dev`: Redis, unless REDIS_URL names one, and a worker, until SIGINT or SIGTERM. */
export async function dev(context: Context, options: LocalWorkerOptions): Promise<number> {
  const shared = sharedQueue(context);
  const redis = shared === null ? await startEmbeddedRedis() : null;
  const target = shared ?? {
    redisUrl: redis?.url ?? '',
    prefix: context.settings.queuePrefix,
    telemetry: context.queueTelemetry,
  };
  await checkRedis(target, target.prefix);
  const running = await startLocalWorker(context, target, options);
  context.stdout.write(
    [
      `A worker is ready on ${options.device}. In another terminal:`,
      // That of a shared Redis may hold a password.
      redis === null ? '  set REDIS_URL as it is set here' : `  export REDIS_URL=${redis.url}`,
      '  imagemill classify ./photos --model alexnet.safetensors --out ./labels',
      'Ctrl-C ends it.',
      '',
    ].join('\n'),
  );
  await interrupted(context);
  await running.close();
  await redis?.stop();
  return EXIT.done;
}

async function interrupted(context: Context): Promise<void> {
  // The timer keeps the process alive: everything else a waiting worker holds may be unreferenced.
  const keepAlive = setInterval(() => {}, 60_000);
  if (!context.interrupted.aborted) await once(context.interrupted, 'abort');
  clearInterval(keepAlive);
}
