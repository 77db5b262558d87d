import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { QUEUES } from '../../../src/contract/queues.ts';
import type { WorkerReport } from '../../../src/contract/worker-report.ts';
import { createFleetMetrics } from '../../../src/dashboard/metrics/fleet-metrics.ts';
import { Queues } from '../../../src/queue/queues.ts';
import { WorkerRegistry } from '../../../src/queue/worker-registry.ts';
import { createMetricsRegister, type MetricsRegister } from '../../../src/telemetry/metrics.ts';
import { metricsIn } from '../../support/metrics.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { fakeReport } from '../../support/worker-report.ts';

const KEPT_MS = 5_000;

let redis: TestRedis;
let prefix = '';
let tests = 0;
let queues: Queues;
let workers: WorkerRegistry;
let register: MetricsRegister;

beforeAll(async () => {
  redis = await startRedis();
}, 60_000);

beforeEach(() => {
  prefix = `test-${(tests += 1)}`;
  queues = new Queues({ redisUrl: redis.url, prefix });
  workers = new WorkerRegistry({ redisUrl: redis.url, prefix });
  register = createMetricsRegister();
});

afterEach(async () => {
  await Promise.all([queues.close(), workers.close()]);
});

afterAll(() => redis.stop());

/** @throws where the text breaks a rule of the format */
const read = async () => metricsIn(await register.metrics());

describe('the metrics of the fleet', () => {
  it('tell how full the queues are, and which workers live', async () => {
    await queues.get(QUEUES.classify).add('x', {}, { timestamp: Date.now() - 30_000 });
    await queues.get(QUEUES.train).add('x', {}, { priority: 4 });
    const old = new Date(Date.now() - 20_000).toISOString();
    const list = async (): Promise<WorkerReport[]> => [
      fakeReport({ name: 'a' }),
      fakeReport({ name: 'b' }),
      fakeReport({ name: 'c', at: old }),
    ];
    createFleetMetrics({ queues, workers: { list }, register });
    const found = await read();
    expect(found).toMatchObject({
      imagemill_redis_up: 1,
      'imagemill_queue_jobs{queue="classify",state="waiting"}': 1,
      'imagemill_queue_jobs{queue="train",state="prioritized"}': 1,
      'imagemill_queue_jobs{queue="plan",state="waiting-children"}': 0,
      'imagemill_workers{state="live"}': 2,
      'imagemill_workers{state="lost"}': 1,
    });
    expect(found['imagemill_queue_oldest_waiting_seconds{queue="classify"}']).toBeCloseTo(30, 0);
    expect(Object.keys(found)).toHaveLength(1 + 4 * 7 + 4 + 2);
  });

  it('ask Redis once for all who scrape within 5 s', async () => {
    let asked = 0;
    const list = async (): Promise<WorkerReport[]> => {
      asked += 1;
      return [];
    };
    createFleetMetrics({ queues, workers: { list }, register });
    await Promise.all(Array.from({ length: 50 }, read));
    await read();
    expect(asked).toBe(1);
    await expect.poll(() => read().then(() => asked), { timeout: KEPT_MS + 2_000 }).toBe(2);
  }, 15_000);

  it('are those of real workers', async () => {
    await workers.report(fakeReport({ name: 'a' }));
    createFleetMetrics({ queues, workers, register });
    expect(await read()).toMatchObject({
      'imagemill_workers{state="live"}': 1,
      'imagemill_workers{state="lost"}': 0,
    });
  });

  it('say within 2 s that Redis is away, silent or gone, and nothing of what was; then all again', async () => {
    createFleetMetrics({ queues, workers, register });
    expect(await read()).toMatchObject({ imagemill_redis_up: 1 });
    const away = async () => {
      const startedAtMs = performance.now();
      const found = await read();
      expect(performance.now() - startedAtMs).toBeLessThan(2_000);
      return found;
    };
    const untilUp = () =>
      expect
        .poll(async () => (await read())['imagemill_redis_up'], { timeout: 20_000, interval: 200 })
        .toBe(1);
    redis.process.kill('SIGSTOP');
    await expect.poll(away, { timeout: 20_000, interval: 200 }).toEqual({ imagemill_redis_up: 0 });
    redis.process.kill('SIGCONT');
    await untilUp();
    await redis.crash();
    await expect.poll(away, { timeout: 20_000, interval: 200 }).toEqual({ imagemill_redis_up: 0 });
    await redis.restart();
    await untilUp();
    expect(await read()).toHaveProperty('imagemill_workers{state="live"}');
  }, 60_000);
});
