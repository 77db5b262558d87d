import { Gauge } from 'prom-client';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetricsRegister, type MetricsRegister } from '../../src/telemetry/metrics.ts';
import { startMetricsServer, type MetricsServer } from '../../src/telemetry/metrics-server.ts';
import { scrape } from '../support/metrics.ts';
import { freePort } from '../support/redis.ts';

let register: MetricsRegister;
let server: MetricsServer;
let port: number;
let answers: () => Promise<void>;

beforeEach(async () => {
  register = createMetricsRegister();
  answers = async () => {};
  port = await freePort();
  server = await startMetricsServer({ port, host: '127.0.0.1', register, answers: () => answers() });
});

afterEach(() => server.close());

async function statusOf(path: string, method = 'GET'): Promise<number | undefined> {
  const sent = request(`${server.url}${path}`, { method }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

describe('the metrics server', () => {
  it('serves what is on the register, with the type that scrapers expect', async () => {
    new Gauge({ name: 'answer', help: 'Of everything.', registers: [register] }).set(42);
    expect(server.url).toBe(`http://127.0.0.1:${port}`);
    const response = await fetch(`${server.url}/metrics?name=answer`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await scrape(`${server.url}/metrics`)).toEqual({ answer: 42 });
  });

  it('answers 500 where a metric cannot be collected, and lives on', async () => {
    let isBroken = true;
    new Gauge({
      name: 'broken',
      help: 'Now and then.',
      registers: [register],
      collect() {
        if (isBroken) throw new Error('secret');
      },
    }).set(1);
    const response = await fetch(`${server.url}/metrics`);
    expect([response.status, await response.text()]).toEqual([500, 'the metrics could not be collected\n']);
    isBroken = false;
    expect(await statusOf('/metrics')).toBe(200);
  });

  it.each([
    ['GET', '/', 404],
    ['GET', '/metrics/', 404],
    ['GET', '/../etc/passwd', 404],
    ['POST', '/other', 404],
    ['POST', '/metrics', 405],
    ['HEAD', '/metrics', 405],
    ['DELETE', '/healthz', 405],
  ])('answers %s %s with %i', async (method, path, status) => {
    expect(await statusOf(path, method)).toBe(status);
  });

  it('is healthy while the queue answers', async () => {
    expect(await statusOf('/healthz')).toBe(200);
    answers = () => Promise.reject(new Error('away'));
    expect(await statusOf('/healthz')).toBe(503);
    answers = async () => {};
    expect(await statusOf('/healthz')).toBe(200);
  });

  it('asks a silent queue once, however many want to know, and tells them within 2 s', async () => {
    let asked = 0;
    let answer: () => void = () => {};
    answers = () => {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    };
    const startedAtMs = performance.now();
    const statuses = await Promise.all([1, 2, 3].map(() => statusOf('/healthz')));
    expect(statuses).toEqual([503, 503, 503]);
    expect(performance.now() - startedAtMs).toBeLessThan(3_000);
    const later = statusOf('/healthz');
    setTimeout(() => answer(), 50);
    expect(await later).toBe(200);
    expect(asked).toBe(1);
  });

  it('closes a connection whose request does not come to its end', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
    const startedAtMs = performance.now();
    socket.resume();
    await once(socket, 'close');
    expect(performance.now() - startedAtMs).toBeLessThan(8_000);
  }, 15_000);

  it('refuses a port that is taken, and an address that is not this machine’s', async () => {
    const shared = { register: createMetricsRegister(), answers };
    await expect(startMetricsServer({ ...shared, port, host: '127.0.0.1' })).rejects.toMatchObject({
      code: 'USAGE',
      message: `--metrics-port: expected an address that is free, got 127.0.0.1:${port} (EADDRINUSE)`,
    });
    await expect(startMetricsServer({ ...shared, port, host: '192.0.2.1' })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});
