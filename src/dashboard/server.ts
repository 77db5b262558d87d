import fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
} from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { ImagemillError } from '../contract/errors.ts';
import type { Queues } from '../queue/queues.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import type { WorkerRegistry } from '../queue/worker-registry.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createMetricsRegister } from '../telemetry/metrics.ts';
import type { AccessMode } from './access/access-policy.ts';
import { createFaultAnswer, type FaultAnswer } from './answer-fault.ts';
import { allowedRoots } from './access/allowed-locations.ts';
import { registerGuard } from './access/guard.ts';
import { Idempotency } from './api/idempotency.ts';
import { registerOpenapi } from './api/openapi.ts';
import { registerApi } from './api/register-api.ts';
import { RunCatalogue } from './catalogue/run-catalogue.ts';
import { answerUnreadable, answerUnroutable } from './framework-faults.ts';
import { LiveHub } from './live/live-hub.ts';
import { QueueWatcher } from './live/queue-watcher.ts';
import { RunAnnouncer } from './live/run-announcer.ts';
import { createFleetMetrics } from './metrics/fleet-metrics.ts';
import { registerHealth, registerHttpMetrics, registerMetricsRoute } from './metrics/http-metrics.ts';
import { registerAssets } from './pages/assets.ts';
import { PageRenderer } from './pages/render.ts';
import { registerPages } from './pages/routes.ts';
import { PictureHost } from './pictures/picture-host.ts';
import { registerQueueBoard } from './queues/queue-board.ts';
import { PartRows } from './runs/part-rows.ts';
import type { Services } from './services.ts';
import { FleetView } from './workers/fleet-view.ts';

const BODY_BYTES_MAX = 1_048_576;
const PARAM_CHARS_MAX = 512;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 2_000;
const KEYS_INTERVAL_MS = 3_600_000;

export interface DashboardOptions {
  readonly resolver: StoreResolver;
  readonly index: RunIndex;
  /** Location of the index, where idempotency keys are kept beside it. */
  readonly homeUri: string;
  readonly queues: Queues;
  readonly workers: WorkerRegistry;
  /** Of the process that makes pictures: how to reach the store. */
  readonly environment: NodeJS.ProcessEnv;
  readonly access: AccessMode;
  readonly locations: readonly string[] | null;
  readonly batchSize: number;
  readonly logger: Logger;
}

export interface Dashboard {
  readonly app: FastifyInstance;
  readonly hub: LiveHub;
  /** @returns the address it listens at. @throws ImagemillError USAGE where the port is taken */
  listen(host: string, port: number): Promise<string>;
  close(): Promise<void>;
}

/** Builds the dashboard: API, pages, live events, queues and metrics behind one guard. */
export async function createDashboard(options: DashboardOptions): Promise<Dashboard> {
  const hub = new LiveHub();
  const announcer = new RunAnnouncer(hub);
  const { index, resolver, logger } = options;
  const catalogue = new RunCatalogue({
    index,
    resolver,
    logger,
    onChange: (run) => announcer.announce(run),
    onForget: (run) => announcer.forget(run),
  });
  const home = resolver.open(options.homeUri);
  const idempotency = new Idempotency(home);
  const pictures = new PictureHost(options);
  const register = createMetricsRegister();
  createFleetMetrics({ queues: options.queues, workers: options.workers, register });
  const services: Services = {
    ...options,
    home,
    locations: allowedRoots(options.locations, resolver),
    catalogue,
    hub,
    register,
    idempotency,
    fleet: new FleetView(options.workers, options.queues),
    parts: new PartRows(),
    pictures,
  };
  const app = await createApp(services);
  app.addHook('onClose', () => catalogue.close());
  await app.ready();
  await catalogue.start();
  const watcher = new QueueWatcher(options.queues, catalogue, hub);
  const sweeping = discardKeys(idempotency, logger);
  return {
    app,
    hub,
    listen: (host, port) => listen(app, host, port),
    close: async () => {
      clearInterval(sweeping);
      await app.close();
      await Promise.all([watcher.close(), pictures.close()]);
    },
  };
}

/** Now, and from time to time: every submission with a key leaves a record behind. */
function discardKeys(idempotency: Idempotency, logger: Logger): NodeJS.Timeout {
  const discard = () =>
    void idempotency.discardExpired().catch((error: unknown) => {
      const isEmpty = error instanceof ImagemillError && error.code === 'STORE_NOT_FOUND';
      if (!isEmpty) logger.warn({ err: error }, 'old idempotency keys could not be removed');
    });
  discard();
  return setInterval(discard, KEYS_INTERVAL_MS).unref();
}

async function createApp(services: Services): Promise<FastifyInstance> {
  const loggerInstance: FastifyBaseLogger = services.logger.child({ part: 'dashboard' });
  const app = fastify({
    loggerInstance,
    // One line per request is the access log's business; what changes something is logged by its route.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: 60_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX, ignoreTrailingSlash: true },
    exposeHeadRoutes: true,
    frameworkErrors: answerUnroutable,
    clientErrorHandler: answerUnreadable(services.logger),
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  registerHttpMetrics(app, services.register, services.hub);
  let pages: PageRenderer | undefined;
  const answer = createFaultAnswer(() => pages ?? new PageRenderer('/assets', services.access));
  await registerGuard(app, services.access, answer);
  answerFaults(app, answer);
  await registerOpenapi(app);
  const renderer = new PageRenderer(await registerAssets(app), services.access);
  pages = renderer;
  await registerApi(app, services);
  await app.register(async (scope) => registerPages(scope, services, renderer));
  await registerQueueBoard(app, services);
  registerMetricsRoute(app, services.register);
  registerHealth(app, () => services.queues.answer());
  return app;
}

function answerFaults(app: FastifyInstance, answer: FaultAnswer): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => answer(error, request, reply));
  app.setNotFoundHandler((request) => {
    throw new ImagemillError(
      'PAGE_NOT_FOUND',
      `expected an address of the dashboard, got ${request.method} ${request.url.slice(0, PARAM_CHARS_MAX)}`,
    );
  });
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EADDRINUSE' ? 'a port that is taken' : `${code ?? 'a fault'} (${message})`;
    throw new ImagemillError('USAGE', `--port: expected a free port on ${host}, got ${port}: ${reason}`);
  }
}
