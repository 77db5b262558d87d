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
import type { Logger } from '../telemetry/logger.ts';
import type { AccessMode } from './access/access-policy.ts';
import { allowedRoots } from './access/allowed-locations.ts';
import { registerGuard } from './access/guard.ts';
import { isSafe } from './access/request-origin.ts';
import { Idempotency } from './api/idempotency.ts';
import { registerOpenapi } from './api/openapi.ts';
import { registerApi } from './api/register-api.ts';
import { RunCatalogue } from './catalogue/run-catalogue.ts';
import { answerUnreadable, answerUnroutable } from './framework-faults.ts';
import { LiveHub } from './live/live-hub.ts';
import { QueueWatcher } from './live/queue-watcher.ts';
import { RunAnnouncer } from './live/run-announcer.ts';
import { registerAssets } from './pages/assets.ts';
import { faultPage } from './pages/fault-page.ts';
import { PageRenderer, wantsPage } from './pages/render.ts';
import { registerPages } from './pages/routes.ts';
import { problemOf } from './problem.ts';
import { registerQueueBoard } from './queues/queue-board.ts';
import type { Services } from './services.ts';

const BODY_BYTES_MAX = 1_048_576;
const PARAM_CHARS_MAX = 512;
const URL_CHARS_LOGGED = 1_024;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 2_000;
const STATUS_FAULT = 500;
const STATUS_UNAVAILABLE = 503;
const RETRY_AFTER_SECONDS = 5;
const KEYS_INTERVAL_MS = 3_600_000;

export interface DashboardOptions {
  readonly resolver: StoreResolver;
  readonly index: RunIndex;
  /** Location of the index, where idempotency keys are kept beside it. */
  readonly homeUri: string;
  readonly queues: Queues;
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
  const locations = allowedRoots(options.locations, resolver);
  const services: Services = { ...options, home, locations, catalogue, hub, idempotency };
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
      await watcher.close();
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
  await registerGuard(app, services.access);
  await registerOpenapi(app);
  const pages = new PageRenderer(await registerAssets(app), services.access);
  answerFaults(app, pages);
  await registerApi(app, services);
  await app.register(async (scope) => registerPages(scope, services, pages));
  await registerQueueBoard(app, services);
  return app;
}

function answerFaults(app: FastifyInstance, pages: PageRenderer): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const problem = problemOf(error);
    const facts = {
      method: request.method,
      url: request.url.slice(0, URL_CHARS_LOGGED),
      code: problem.code,
      status: problem.status,
    };
    if (problem.status >= STATUS_FAULT) request.log.error({ err: error, ...facts }, 'request failed');
    else request.log.warn({ ...facts, detail: problem.detail }, 'request refused');
    if (problem.status === STATUS_UNAVAILABLE && problem.retryable) {
      void reply.header('retry-after', String(RETRY_AFTER_SECONDS));
    }
    if (!wantsPage(request)) {
      return reply.code(problem.status).type('application/problem+json').send(problem);
    }
    if (problem.code === 'UNAUTHENTICATED' && isSafe(request.method)) {
      return reply.redirect(`/login?${new URLSearchParams({ next: request.url }).toString()}`);
    }
    const content = { title: problem.title, body: faultPage(problem) };
    return pages.send(request, reply, content, problem.status);
  });
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
