import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WorkerRegistry } from '../../src/queue/worker-registry.ts';
import { startProductionRedis } from '../support/production-redis.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { fakeReport } from '../support/worker-report.ts';

const KEPT_MS = 600_000;
const WORKERS_MAX = 10_000;

let redis: TestRedis;
let direct: Redis;
let prefix = '';
let tests = 0;
let registry: WorkerRegistry;

beforeAll(async () => {
  redis = await startRedis();
  direct = new Redis(redis.url);
  direct.on('error', () => {});
}, 60_000);

beforeEach(() => {
  prefix = `test-${(tests += 1)}`;
  registry = new WorkerRegistry({ redisUrl: redis.url, prefix });
});

afterEach(() => registry.close());

afterAll(async () => {
  direct.disconnect();
  await redis.stop();
});

const names = async () => (await registry.list()).map(({ name }) => name);

describe('the registry of workers', () => {
  it('lists the last report of each worker, by name', async () => {
    await registry.report(fakeReport({ name: 'b', state: 'starting' }));
    await registry.report(fakeReport({ name: 'c' }));
    await registry.report(fakeReport({ name: 'a:1 é' }));
    const report = fakeReport({ name: 'b', state: 'working', imagesPerSecond: 12.5 });
    await registry.report(report);
    const listed = await registry.list();
    expect(listed.map(({ name }) => name)).toEqual(['a:1 é', 'b', 'c']);
    expect({ ...listed[1], at: report.at }).toEqual(report);
  });

  it('tells when a worker was heard of by the reader’s clock, whatever the worker’s own says', async () => {
    await registry.report(fakeReport({ name: 'fast', at: '2099-01-01T00:00:00.000Z' }));
    await registry.report(fakeReport({ name: 'slow', at: '1999-01-01T00:00:00.000Z' }));
    for (const { at } of await registry.list()) {
      expect(Math.abs(Date.now() - Date.parse(at))).toBeLessThan(2_000);
    }
    // As if a minute had passed since.
    await direct.pexpire(`${prefix}:worker:slow`, KEPT_MS - 60_000);
    const [, slow] = await registry.list();
    expect(Date.now() - Date.parse(slow?.at ?? '')).toBeGreaterThan(59_000);
  });

  it('forgets a worker that signs off, and does not mind one that it never knew', async () => {
    await registry.report(fakeReport({ name: 'a' }));
    await registry.report(fakeReport({ name: 'b' }));
    await registry.remove('a');
    await registry.remove('never there');
    expect(await names()).toEqual(['b']);
    expect(await direct.keys(`${prefix}:*`)).toHaveLength(2);
  });

  it('keeps a report for 10 minutes, and then drops the name too', async () => {
    await registry.report(fakeReport({ name: 'a' }));
    await registry.report(fakeReport({ name: 'b' }));
    const remainingMs = await direct.pttl(`${prefix}:worker:a`);
    expect(remainingMs).toBeGreaterThan(KEPT_MS - 5_000);
    expect(remainingMs).toBeLessThanOrEqual(KEPT_MS);
    await direct.pexpire(`${prefix}:worker:a`, 0);
    expect(await names()).toEqual(['b']);
    expect(await direct.zrevrange(`${prefix}:workers`, 0, -1)).toEqual(['b']);
  });

  it('leaves out what it cannot read', async () => {
    await registry.report(fakeReport({ name: 'good' }));
    const others: Record<string, string> = {
      garbage: '{"schema":',
      newer: JSON.stringify({ ...fakeReport({ name: 'newer' }), schema: 'imagemill.worker-report/2' }),
      false: JSON.stringify(fakeReport({ name: 'somebody else' })),
      huge: JSON.stringify(fakeReport({ name: 'huge', host: 'h'.repeat(70_000) })),
    };
    for (const [name, json] of Object.entries(others)) {
      await direct.set(`${prefix}:worker:${name}`, json, 'PX', KEPT_MS);
      await direct.zadd(`${prefix}:workers`, 1, name);
    }
    expect(await names()).toEqual(['good']);
  });

  it('refuses to keep a report that is none', async () => {
    await expect(registry.report(fakeReport({ name: '' }))).rejects.toMatchObject({
      code: 'CONTRACT_INVALID',
    });
    expect(await names()).toEqual([]);
  });

  it('keeps and lists the 10,000 that reported last', async () => {
    const fill = direct.pipeline();
    for (let index = 0; index < WORKERS_MAX + 50; index += 1) {
      const name = `w-${String(index).padStart(5, '0')}`;
      fill.set(`${prefix}:worker:${name}`, JSON.stringify(fakeReport({ name })), 'PX', KEPT_MS);
      fill.zadd(`${prefix}:workers`, index, name);
    }
    await fill.exec();
    expect(await names()).toHaveLength(WORKERS_MAX);
    await registry.report(fakeReport({ name: 'new' }));
    expect(await direct.zcard(`${prefix}:workers`)).toBe(WORKERS_MAX);
    const listed = await names();
    expect(listed).toContain('new');
    expect(listed).not.toContain('w-00050');
    expect(listed).toContain('w-00051');
  }, 60_000);
});

describe('the registry without Redis', () => {
  it('fails at once, and works again when Redis is back, with what was known', async () => {
    await registry.report(fakeReport({ name: 'a' }));
    // The append-only file is written once a second.
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await redis.crash();
    const startedAtMs = performance.now();
    await expect(registry.report(fakeReport({ name: 'b' }))).rejects.toMatchObject({
      code: 'REDIS_UNREACHABLE',
    });
    await expect(registry.list()).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' });
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    await redis.restart();
    await expect.poll(() => names().catch(() => null), { timeout: 10_000, interval: 100 }).toEqual(['a']);
    await registry.report(fakeReport({ name: 'b' }));
    expect(await names()).toEqual(['a', 'b']);
  }, 30_000);

  it('gives up within seconds on a server that is silent, and sends nothing again when it speaks', async () => {
    await registry.report(fakeReport({ name: 'a' }));
    redis.process.kill('SIGSTOP');
    const startedAtMs = performance.now();
    try {
      await expect(registry.report(fakeReport({ name: 'b' }))).rejects.toMatchObject({
        code: 'REDIS_UNREACHABLE',
      });
      expect(performance.now() - startedAtMs).toBeLessThan(8_000);
    } finally {
      redis.process.kill('SIGCONT');
    }
    await expect
      .poll(
        () =>
          names()
            .then((found) => found.includes('a'))
            .catch(() => false),
        { timeout: 10_000 },
      )
      .toBe(true);
  }, 30_000);
});

it('needs no more than the users of infra/redis/users.acl may', async () => {
  const production = await startProductionRedis();
  const asWorker = new WorkerRegistry({ redisUrl: production.urlOf('worker'), prefix: 'imagemill' });
  const asProducer = new WorkerRegistry({ redisUrl: production.urlOf('producer'), prefix: 'imagemill' });
  const admin = production.connect('admin');
  try {
    await asWorker.report(fakeReport({ name: 'a' }));
    await asWorker.report(fakeReport({ name: 'b' }));
    await asWorker.report(fakeReport({ name: 'c' }));
    await asWorker.remove('c');
    await admin.connect();
    await admin.del('imagemill:worker:a');
    expect((await asProducer.list()).map(({ name }) => name)).toEqual(['b']);
    expect(await admin.zrevrange('imagemill:workers', 0, -1)).toEqual(['b']);
    const elsewhere = new WorkerRegistry({ redisUrl: production.urlOf('worker'), prefix: 'other' });
    await expect(elsewhere.report(fakeReport())).rejects.toMatchObject({ code: 'REDIS_REFUSED' });
    await elsewhere.close();
  } finally {
    await Promise.all([asWorker.close(), asProducer.close()]);
    admin.disconnect();
    await production.stop();
  }
});
