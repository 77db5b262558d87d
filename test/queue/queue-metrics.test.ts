import { Worker, type Job } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { QUEUES } from '../../src/contract/queues.ts';
import { redisOptions } from '../../src/queue/connection.ts';
import { JOB_STATES, readQueueFigures, type QueueFigures } from '../../src/queue/queue-metrics.ts';
import { Queues } from '../../src/queue/queues.ts';
import { startProductionRedis } from '../support/production-redis.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/training.ts';

const HOUR_MS = 3_600_000;
const NONE = Object.fromEntries(JOB_STATES.map((state) => [state, 0]));

let redis: TestRedis;
let prefix = '';
let tests = 0;
let queues: Queues;

beforeAll(async () => {
  redis = await startRedis();
}, 60_000);

beforeEach(() => {
  prefix = `test-${(tests += 1)}`;
  queues = new Queues({ redisUrl: redis.url, prefix });
});

afterEach(() => queues.close());

afterAll(() => redis.stop());

async function figuresOf(name: 'classify' | 'plan', nowMs?: number): Promise<QueueFigures | undefined> {
  return (await readQueueFigures(queues, nowMs)).find(({ queue }) => queue === name);
}

/** Adds a job that was made so long ago. */
async function add(ageMs: number, options: object = {}): Promise<Job> {
  return queues.get(QUEUES.classify).add('x', {}, { timestamp: Date.now() - ageMs, ...options });
}

describe('the figures of the queues', () => {
  it('are those of every queue, all zero where nothing was ever enqueued', async () => {
    expect(await readQueueFigures(queues)).toEqual(
      ['plan', 'prepare', 'classify', 'train'].map((queue) => ({
        queue,
        jobs: NONE,
        oldestWaitingSeconds: 0,
      })),
    );
  });

  it('count jobs by state', async () => {
    const outcomes: Record<string, () => Promise<unknown>> = {
      good: async () => 'done',
      bad: () => Promise.reject(new Error('bad')),
      slow: () => new Promise(() => {}),
    };
    const worker = new Worker(QUEUES.classify, async (job) => outcomes[job.name]?.(), {
      connection: redisOptions({ redisUrl: redis.url }, 'worker'),
      prefix,
      concurrency: 1,
    });
    worker.on('error', () => {});
    const queue = queues.get(QUEUES.classify);
    for (const name of ['good', 'good', 'bad', 'slow']) await queue.add(name, {});
    await until(async () => (await queue.getActiveCount()) === 1 && (await queue.getFailedCount()) === 1);
    await queue.addBulk([1, 2, 3].map(() => ({ name: 'good', data: {} })));
    await queue.addBulk([1, 2].map(() => ({ name: 'good', data: {}, opts: { priority: 5 } })));
    await queue.add('good', {}, { delay: HOUR_MS });
    expect((await figuresOf('classify'))?.jobs).toEqual({
      ...NONE,
      waiting: 3,
      prioritized: 2,
      active: 1,
      delayed: 1,
      failed: 1,
      completed: 2,
    });
    await worker.close(true);
  });

  it('tell the age of the oldest waiting job, at whichever end of the list it is', async () => {
    for (const ageMs of [5_000, 60_000, 1_000]) await add(ageMs);
    expect((await figuresOf('classify'))?.oldestWaitingSeconds).toBeLessThan(6);
    await add(90_000);
    expect((await figuresOf('classify'))?.oldestWaitingSeconds).toBeCloseTo(90, 0);
    await add(120_000, { lifo: true });
    expect((await figuresOf('classify'))?.oldestWaitingSeconds).toBeCloseTo(120, 0);
  });

  it('find the oldest job of any priority, however many more urgent ones are before it', async () => {
    const queue = queues.get(QUEUES.classify);
    await queue.addBulk(
      Array.from({ length: 500 }, (_, index) => ({
        name: 'x',
        data: {},
        opts: { priority: 1 + (index % 3), timestamp: Date.now() - 1_000 },
      })),
    );
    await add(240_000, { priority: 100 });
    await add(2_000, { priority: 100 });
    expect((await figuresOf('classify'))?.oldestWaitingSeconds).toBeCloseTo(240, 0);
  });

  it('count the time of a job that was put off from when it could be taken', async () => {
    const job = await add(HOUR_MS, { delay: HOUR_MS - 10_000 });
    expect((await figuresOf('classify'))?.oldestWaitingSeconds).toBe(0);
    await job.promote();
    expect((await figuresOf('classify'))?.oldestWaitingSeconds).toBeCloseTo(10, 0);
  });

  it('may be read by the producer of infra/redis/users.acl', async () => {
    const production = await startProductionRedis();
    const asProducer = new Queues({ redisUrl: production.urlOf('producer'), prefix: 'imagemill' });
    try {
      await asProducer.get(QUEUES.classify).add('x', {}, { priority: 3 });
      await asProducer.get(QUEUES.classify).add('x', {});
      const figures = (await readQueueFigures(asProducer)).find(({ queue }) => queue === 'classify');
      expect(figures?.jobs).toEqual({ ...NONE, waiting: 1, prioritized: 1 });
    } finally {
      await asProducer.close();
      await production.stop();
    }
  });
});
