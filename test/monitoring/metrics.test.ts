import { fastify } from 'fastify';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LiveHub } from '../../src/dashboard/live/live-hub.ts';
import { createFleetMetrics } from '../../src/dashboard/metrics/fleet-metrics.ts';
import { registerHttpMetrics } from '../../src/dashboard/metrics/http-metrics.ts';
import { Queues } from '../../src/queue/queues.ts';
import { createMetricsRegister, type MetricsRegister } from '../../src/telemetry/metrics.ts';
import { WorkerMetrics } from '../../src/workers/worker-metrics.ts';
import { documentedMetrics } from '../support/documented-metrics.ts';

const documented = documentedMetrics(
  readFileSync(new URL('../../docs/monitoring.md', import.meta.url), 'utf8'),
);

/** Labels by metric, as the code registers them. */
function registered(register: MetricsRegister): Map<string, string[]> {
  return new Map(
    register.getMetricsAsArray().map((metric) => {
      const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
      return [name, labelNames.toSorted()];
    }),
  );
}

function from(who: string): Map<string, string[]> {
  return new Map(
    [...documented].filter(([, metric]) => metric.from === who).map(([name, { labels }]) => [name, labels]),
  );
}

describe('the table of metrics', () => {
  it('is what a worker tells', () => {
    const register = createMetricsRegister();
    const identity = { name: 'w', device: 'cpu', engine: 'onnxruntime', version: '0' };
    const idle = { eventLoopDelayP99Ms: 0, residentBytes: 0 };
    new WorkerMetrics(register).watch(identity, () => ({ control: idle, compute: idle, gpu: null }));
    expect(registered(register)).toEqual(from('worker'));
  });

  it('is what the dashboard tells', () => {
    const register = createMetricsRegister();
    createFleetMetrics({
      queues: new Queues({ redisUrl: 'redis://127.0.0.1:1', prefix: 'x' }),
      workers: { list: () => Promise.resolve([]) },
      register,
    });
    registerHttpMetrics(fastify(), register, new LiveHub());
    expect(registered(register)).toEqual(from('dashboard'));
  });
});
