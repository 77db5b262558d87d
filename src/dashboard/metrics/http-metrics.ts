import type { FastifyInstance } from 'fastify';
import { setTimeout as sleep } from 'node:timers/promises';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { MetricsRegister } from '../../telemetry/metrics.ts';
import type { LiveHub } from '../live/live-hub.ts';

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10];

/** Counts and times requests by route, never by address: those have ids in them. */
export function registerHttpMetrics(app: FastifyInstance, register: MetricsRegister, hub: LiveHub): void {
  const registers = [register];
  const requests = new Counter({
    name: 'imagemill_dashboard_http_requests_total',
    help: 'Requests answered, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    registers,
  });
  const seconds = new Histogram({
    name: 'imagemill_dashboard_http_seconds',
    help: 'Seconds from request to answer, by route; event streams are left out.',
    labelNames: ['route'],
    buckets: SECONDS_BUCKETS,
    registers,
  });
  void new Gauge({
    name: 'imagemill_dashboard_watchers',
    help: 'Open event streams.',
    registers,
    collect() {
      this.set(hub.listeners);
    },
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    requests.inc({ route, method: request.method, status: String(reply.statusCode) });
    seconds.observe({ route }, reply.elapsedTime / 1_000);
  });
}

/** `/metrics` in the text format of Prometheus, for whoever may look at the dashboard. */
export function registerMetricsRoute(app: FastifyInstance, register: MetricsRegister): void {
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.type(register.contentType).send(await register.metrics()),
  );
}

const HEALTH_TIMEOUT_MS = 2_000;

/** `/healthz`: 200 while Redis answers within 2 s, else 503. Says nothing else, and so needs no token. */
export function registerHealth(app: FastifyInstance, answers: () => Promise<void>): void {
  app.get('/healthz', { config: { access: 'public' }, schema: { hide: true } }, async (_request, reply) => {
    const healthy = await Promise.race([
      answers().then(
        () => true,
        () => false,
      ),
      sleep(HEALTH_TIMEOUT_MS, false, { ref: false }),
    ]);
    return reply
      .code(healthy ? 200 : 503)
      .type('text/plain')
      .send(healthy ? 'ok\n' : 'Redis does not answer\n');
  });
}
