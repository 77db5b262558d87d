import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { afterEach, expect, it } from 'vitest';
import { CollectorExporter } from '../../src/telemetry/collector-exporter.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { startCollector, type Collector } from '../support/collector.ts';
import { freePort } from '../support/redis.ts';

/** OpenTelemetry's exporter by itself tries for ten seconds. */
const AT_ONCE_MS = 3_000;
const [SUCCESS, FAILED] = [0, 1];

const collectors: Collector[] = [];

afterEach(async () => {
  await Promise.all(collectors.splice(0).map((collector) => collector.close()));
});

async function collectorThat(answer: Parameters<typeof startCollector>[0]): Promise<Collector> {
  const collector = await startCollector(answer);
  collectors.push(collector);
  return collector;
}

/** Exports twice. @returns the results, the lines that were logged, and how long it took */
async function exportTo(base: string) {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const endpoint = `${base}/v1/traces`;
  const logger = createLogger('trace', {}, { write });
  const exporter = new CollectorExporter(new OTLPTraceExporter({ url: endpoint }), endpoint, logger);
  const startMs = performance.now();
  const codes: number[] = [];
  for (let sent = 0; sent < 2; sent += 1) {
    await new Promise<void>((resolve) => {
      exporter.export([], ({ code }) => {
        codes.push(code);
        resolve();
      });
    });
  }
  const ms = performance.now() - startMs;
  await exporter.shutdown();
  return { codes, lines, ms };
}

const WARNING = { level: 40, msg: 'traces cannot be sent: the collector does not take them' };

it('sends to a collector that listens, and says nothing', async () => {
  const collector = await collectorThat({ status: 200 });
  expect(await exportTo(collector.endpoint)).toMatchObject({ codes: [SUCCESS, SUCCESS], lines: [] });
  expect(collector.requests.map(({ path }) => path)).toEqual(['/v1/traces', '/v1/traces']);
});

it('drops spans at once where nobody listens, and says so once', async () => {
  const port = await freePort();
  const { codes, lines, ms } = await exportTo(`http://127.0.0.1:${port}`);
  expect(codes).toEqual([FAILED, FAILED]);
  expect(lines.length).toBe(1);
  expect(lines[0]).toMatchObject({ ...WARNING, host: '127.0.0.1', port, err: { code: 'ECONNREFUSED' } });
  expect(ms).toBeLessThan(AT_ONCE_MS);
});

it('says once that a collector refuses spans', async () => {
  const collector = await collectorThat({ status: 401 });
  const { codes, lines } = await exportTo(collector.endpoint);
  expect(codes).toEqual([FAILED, FAILED]);
  expect(lines.length).toBe(1);
  expect(lines[0]).toMatchObject(WARNING);
});

it.each([
  ['http://[::1]:7', { host: '::1', port: 7 }],
  ['http://localhost:9', { host: 'localhost', port: 9 }],
])('knows where %s is', async (base, address) => {
  const { lines } = await exportTo(base);
  expect(lines[0]).toMatchObject({ ...WARNING, ...address });
});
