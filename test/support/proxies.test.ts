/** The chaos suite proves nothing if its faults do none: each is looked at from the other side of the proxy. */
import { once } from 'node:events';
import { createServer as createHttpServer, get as httpGet, type Server as HttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { S3Proxy, type S3Fault } from './s3-proxy.ts';
import { TcpProxy } from './tcp-proxy.ts';

const portOf = (server: Server | HttpServer) => (server.address() as AddressInfo).port;

describe('S3Proxy', () => {
  const BODY = 'x'.repeat(100_000);
  let server: HttpServer;
  let proxy: S3Proxy;
  let carriedOut = 0;
  beforeEach(async () => {
    carriedOut = 0;
    server = createHttpServer((_request, response) => {
      carriedOut += 1;
      response.end(BODY);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await S3Proxy.start(`http://127.0.0.1:${portOf(server)}`);
  });
  afterEach(async () => {
    await proxy.stop();
    server.closeAllConnections();
    server.close();
  });

  /** Status and length of the reply, or how it broke. */
  function ask(timeoutMs = 2_000): Promise<string> {
    return new Promise((resolve) => {
      const request = httpGet(proxy.endpoint, { agent: false }, (reply) => {
        let bytes = 0;
        reply.on('data', (chunk: Buffer) => (bytes += chunk.length));
        reply.on('end', () => resolve(`${reply.statusCode} ${bytes === BODY.length ? 'whole' : 'short'}`));
        reply.on('error', () => resolve(`${reply.statusCode} broken`));
      });
      request.on('error', () => resolve('no reply'));
      request.setTimeout(timeoutMs, () => resolve('silence'));
    });
  }

  it.each<[fault: S3Fault, seen: string, carriedOut: number]>([
    ['pass', '200 whole', 1],
    ['unavailable', '503 short', 0],
    ['unsupported', '501 short', 0],
    ['full', '403 short', 0],
    ['reset', 'no reply', 0],
    ['lose reply', 'no reply', 1],
    ['cut reply', '200 broken', 1],
    ['stall', 'silence', 0],
  ])('%s: the client sees "%s", the server carries out %i', async (fault, seen, expected) => {
    proxy.decide = () => fault;
    expect(await ask(fault === 'stall' ? 200 : 2_000)).toBe(seen);
    expect([carriedOut, proxy.faults]).toEqual([expected, fault === 'pass' ? 0 : 1]);
  });

  it('holds every request up for its latency', async () => {
    proxy.latencyMs = 150;
    const askedAt = performance.now();
    expect(await ask()).toBe('200 whole');
    expect(performance.now() - askedAt).toBeGreaterThanOrEqual(149);
  });
});

describe('TcpProxy', () => {
  let server: Server;
  let proxy: TcpProxy;
  let received = 0;
  const accepted = new Set<Socket>();
  beforeEach(async () => {
    received = 0;
    server = createServer((socket) => {
      accepted.add(socket);
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
        socket.write(chunk);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await TcpProxy.start({ host: '127.0.0.1', port: portOf(server) });
  });
  afterEach(async () => {
    await proxy.stop();
    for (const socket of accepted) socket.destroy();
    server.close();
  });

  async function open(): Promise<Socket> {
    const socket = connect(proxy.port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }

  /** What comes back within a while. */
  async function echo(socket: Socket, text: string, waitMs: number): Promise<string> {
    let back = '';
    socket.on('data', (chunk: Buffer) => (back += chunk.toString()));
    socket.write(text);
    for (const end = Date.now() + waitMs; Date.now() < end && back.length < text.length;) await sleep(5);
    return back;
  }

  it('carries both directions where nothing is wrong', async () => {
    expect(await echo(await open(), 'hello', 1_000)).toBe('hello');
  });

  it.each([
    ['requests', 0],
    ['replies', 5],
    ['both', 0],
  ] as const)('swallows %s in silence, on a connection that is open already', async (blackhole, arrived) => {
    const socket = await open();
    expect(await echo(socket, 'first', 1_000)).toBe('first');
    received = 0;
    proxy.set({ blackhole });
    expect(await echo(socket, 'later', 150)).toBe('');
    expect([received, socket.destroyed]).toEqual([arrived, false]);
  });

  it('adds latency and limits bandwidth in each direction', async () => {
    const socket = await open();
    proxy.set({ latencyMs: 60 });
    let startedAt = performance.now();
    await echo(socket, 'hello', 1_000);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(118);
    proxy.set({ bytesPerSecond: 10_000 });
    startedAt = performance.now();
    await echo(await open(), 'x'.repeat(1_000), 2_000);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(190);
  });

  it('resets what is open when it is cut, and what is new where it refuses', async () => {
    const socket = await open();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await echo(socket, 'hello', 1_000);
    proxy.cut();
    await closed;
    proxy.set({ refuse: true });
    const refused = connect(proxy.port, '127.0.0.1');
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });
});
