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
import { registerGuard } from './access/guard.ts';
import { isSafe } from './access/request-origin.ts';
import { Idempotency } from './api/idempotency.ts';
import { registerEventsRoute } from './api/events-route.ts';
import { registerOpenapi } from './api/openapi.ts';
import { registerPictureRoutes } from './api/pictures-routes.ts';
import { registerResultRoutes } from './api/results-routes.ts';
import { registerRunFactRoutes } from './api/run-facts-routes.ts';
import { registerRunRoutes } from './api/runs-routes.ts';
import { RunCatalogue } from './catalogue/run-catalogue.ts';
import type { WatchedRun } from './catalogue/watched-run.ts';
import { LiveHub } from './live/live-hub.ts';
import { QueueWatcher } from './live/queue-watcher.ts';
import { registerAssets } from './pages/assets.ts';
import { faultPage } from './pages/fault-page.ts';
import { PageRenderer, wantsPage } from './pages/render.ts';
import { registerPages } from './pages/routes.ts';
import { PictureHost } from './pictures/picture-host.ts';
import { problemOf } from './problem.ts';
import { registerQueueBoard } from './queues/queue-board.ts';
import type { Services } from './services.ts';

const BODY_BYTES_MAX = 1_048_576;
const PARAM_CHARS_MAX = 512;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 2_000;
const STATUS_FAULT = 500;

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
  /** Of the process that decodes pictures: how to reach the store. Without it there are none but of local files. */
  readonly environment?: NodeJS.ProcessEnv;
}

export interface Dashboard {
  readonly app: FastifyInstance;
  /** @returns the address it listens at. @throws ImagemillError USAGE where the port is taken */
  listen(host: string, port: number): Promise<string>;
  close(): Promise<void>;
}

/** Builds the dashboard: API, pages, live events, queues and metrics behind one guard. */
export async function createDashboard(options: DashboardOptions): Promise<Dashboard> {
  const hub = new LiveHub();
  const committed = new Map<string, number>();
  const catalogue = new RunCatalogue({
    index: options.index,
    resolver: options.resolver,
    logger: options.logger,
    onChange: (run) => announce(run, hub, committed),
  });
  const home = options.resolver.open(options.homeUri);
  const pictures = new PictureHost({ environment: options.environment ?? {}, logger: options.logger });
  const idempotency = new Idempotency(home);
  const services: Services = { ...options, home, catalogue, hub, idempotency, pictures };
  const watcher = new QueueWatcher(options.queues, catalogue, hub);
  const app = await createApp(services);
  app.addHook('onClose', async () => {
    await Promise.all([catalogue.close(), watcher.close(), pictures.close()]);
  });
  await app.ready();
  await catalogue.start();
  return {
    app,
    listen: (host, port) => listen(app, host, port),
    close: () => app.close(),
  };
}

/** Tells browsers of a run that was read again, and of commits that were not there before. */
function announce(run: WatchedRun, hub: LiveHub, committed: Map<string, number>): void {
  const id = run.entry.run;
  hub.publish(`run:${id}`, () => ({ type: 'run', run: run.overview() }));
  const count =
    run.commits.commits.size +
    run.epochs.epochs.length +
    run.epochs.stepCommits.length +
    (run.isLive ? 0 : 1);
  if (committed.get(id) === count) return;
  committed.set(id, count);
  hub.publish(`committed:${id}`, () => ({ type: 'committed', run: id, count }));
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
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await registerGuard(app, services.access);
  await registerOpenapi(app);
  const pages = new PageRenderer(await registerAssets(app), services.access);
  answerFaults(app, pages);
  await app.register(
    async (api) => {
      registerRunRoutes(api, services);
      registerResultRoutes(api, services);
      registerRunFactRoutes(api, services);
      registerPictureRoutes(api, services);
      registerEventsRoute(api, services);
      api.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
    },
    { prefix: '/api/v1' },
  );
  await app.register(async (scope) => registerPages(scope, services, pages));
  await registerQueueBoard(app, services);
  return app;
}

function answerFaults(app: FastifyInstance, pages: PageRenderer): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const problem = problemOf(error);
    const facts = { method: request.method, url: request.url, code: problem.code, status: problem.status };
    if (problem.status >= STATUS_FAULT) request.log.error({ err: error, ...facts }, 'request failed');
    else request.log.warn({ ...facts, detail: problem.detail }, 'request refused');
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
