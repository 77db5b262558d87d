import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIPv6, type AddressInfo } from 'node:net';
import { ImagemillError } from '../contract/errors.ts';
import type { MetricsRegister } from './metrics.ts';

/** Of a request, head and all; there is no body to wait for. */
const REQUEST_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 5_000;
/** How often connections are checked against the two. */
const CHECK_EVERY_MS = 1_000;
/** A silent connection is closed; scrapers come back. */
const IDLE_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 64;
const HEADER_BYTES_MAX = 8 * 1024;
/** How long the queue may take to answer before the worker counts as ill. */
const HEALTH_TIMEOUT_MS = 2_000;

export interface MetricsServerOptions {
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  readonly register: MetricsRegister;
  /** Resolves when the queue has answered, however long that takes. */
  readonly answers: () => Promise<void>;
}

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`, in the text format of Prometheus, and `/healthz`: 200 while the queue answers within 2 s, else 503.
 * @throws ImagemillError USAGE where the address cannot be listened on
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const isHealthy = onceAtATime(options.answers);
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    (request, response) => void answer(request, response, options.register, isHealthy),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.setTimeout(IDLE_TIMEOUT_MS);
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const host = isIPv6(options.host) ? `[${options.host}]` : options.host;
  return {
    url: `http://${host}:${port}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function listen(server: Server, { port, host }: MetricsServerOptions): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host, exclusive: true }, resolve);
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ImagemillError(
      'USAGE',
      `--metrics-port: expected an address that is free, got ${host}:${port} (${code})`,
    );
  }
  // Without a listener a later fault, such as no more files to open, would end the process.
  server.on('error', () => {});
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  register: MetricsRegister,
  isHealthy: () => Promise<boolean>,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path !== '/metrics' && path !== '/healthz') return reply(response, 404, 'not found\n');
  if (request.method !== 'GET') {
    response.setHeader('Allow', 'GET');
    return reply(response, 405, 'only GET\n');
  }
  if (path === '/healthz') {
    return (await isHealthy())
      ? reply(response, 200, 'ok\n')
      : reply(response, 503, 'no answer from Redis\n');
  }
  try {
    const text = await register.metrics();
    reply(response, 200, text, register.contentType);
  } catch {
    reply(response, 500, 'the metrics could not be collected\n');
  }
}

function reply(
  response: ServerResponse,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(text);
}

/** Whether the queue answers within 2 s. While it does not, one question waits, and nothing of those who asked. */
function onceAtATime(answers: () => Promise<void>): () => Promise<boolean> {
  const waiting = new Set<(isHealthy: boolean) => void>();
  let isAsking = false;
  const ask = async (): Promise<void> => {
    isAsking = true;
    const isHealthy = await answers().then(
      () => true,
      () => false,
    );
    isAsking = false;
    for (const hear of waiting) hear(isHealthy);
  };
  return async () => {
    let hear: (isHealthy: boolean) => void = () => {};
    const heard = new Promise<boolean>((resolve) => (hear = resolve));
    waiting.add(hear);
    const timer = setTimeout(hear, HEALTH_TIMEOUT_MS, false);
    if (!isAsking) void ask();
    try {
      return await heard;
    } finally {
      clearTimeout(timer);
      waiting.delete(hear);
    }
  };
}
