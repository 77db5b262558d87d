import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What happens to one request:
 * `pass`; `unavailable` (503 in place of an answer, nothing reaches the server); `reset` (before it reaches the server);
 * `lose reply` (the server has carried it out, the reply is cut off); `cut reply` (in the middle of its body);
 * `stall` (no answer, ever); `unsupported` (501, as servers without conditional put answer one);
 * `full` (403 QuotaExceeded).
 */
export type S3Fault =
  'pass' | 'unavailable' | 'reset' | 'lose reply' | 'cut reply' | 'stall' | 'unsupported' | 'full';

export interface S3Request {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** Whether it is a put with If-None-Match. */
  readonly conditional: boolean;
}

/** An HTTP proxy in front of an S3 server that decides about every single request. */
export class S3Proxy {
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server = createServer((request, response) => void this.#handle(request, response));
  /** Decides; requests pass where it is not set. */
  decide: (request: S3Request) => S3Fault = () => 'pass';
  /** Sees every request. */
  onRequest: (request: S3Request) => void = () => {};
  /** Added to every request. */
  latencyMs = 0;
  /** How many requests met a fault. */
  faults = 0;

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  /** @param target endpoint of the server */
  static async start(target: string): Promise<S3Proxy> {
    const proxy = new S3Proxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, this.latencyMs));
    const seen: S3Request = {
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      conditional: request.headers['if-none-match'] !== undefined,
    };
    this.onRequest(seen);
    const fault = this.decide(seen);
    if (fault !== 'pass') this.faults += 1;
    switch (fault) {
      case 'unavailable':
        answer(request, response, 503, 'SlowDown');
        return;
      case 'unsupported':
        answer(request, response, 501, 'NotImplemented');
        return;
      case 'full':
        answer(request, response, 403, 'QuotaExceeded');
        return;
      case 'reset':
        request.socket.resetAndDestroy();
        return;
      case 'stall':
        request.resume();
        return;
      default:
        this.#forward(request, response, fault);
    }
  }

  #forward(request: IncomingMessage, response: ServerResponse, fault: S3Fault): void {
    const cut = (): void => void request.socket.resetAndDestroy();
    const forwarded = httpRequest(
      {
        host: this.#target.hostname,
        port: this.#target.port,
        method: request.method,
        path: request.url,
        // As they were signed, `host` included.
        headers: request.headers,
        agent: this.#agent,
      },
      (reply) => {
        if (fault === 'lose reply') {
          reply.resume();
          reply.once('end', cut);
          return;
        }
        response.writeHead(reply.statusCode ?? 502, reply.headers);
        if (fault === 'cut reply') {
          response.flushHeaders();
          reply.once('data', (chunk: Buffer) => response.write(chunk.subarray(0, chunk.length >> 1), cut));
          reply.once('end', cut);
          return;
        }
        reply.on('error', cut);
        reply.pipe(response);
      },
    );
    forwarded.on('error', cut);
    request.on('error', () => forwarded.destroy());
    request.pipe(forwarded);
  }
}

function answer(request: IncomingMessage, response: ServerResponse, status: number, code: string): void {
  request.resume();
  request.once('end', () => {
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>injected</Message></Error>`);
  });
}
