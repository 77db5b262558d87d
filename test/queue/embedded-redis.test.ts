import { Redis } from 'ioredis';
import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { checkRedis, redisOptions } from '../../src/queue/connection.ts';
import { startEmbeddedRedis } from '../../src/queue/embedded-redis.ts';
import { planJobId } from '../../src/contract/ids.ts';
import { Queues } from '../../src/queue/queues.ts';
import { startCli } from '../support/cli.ts';
import { until } from '../support/training.ts';

const run = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';

it('starts a private Redis on a socket, and leaves nothing behind', async () => {
  const redis = await startEmbeddedRedis();
  const folder = decodeURI(new URL(redis.url).pathname);
  expect(existsSync(folder)).toBe(true);
  await checkRedis({ redisUrl: redis.url });
  await redis.stop();
  expect(existsSync(folder)).toBe(false);
  await expect(checkRedis({ redisUrl: redis.url })).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' });
});

it('can be reached by this user alone', async () => {
  const redis = await startEmbeddedRedis();
  try {
    const socket = decodeURI(new URL(redis.url).pathname);
    expect(modeOf(dirname(socket))).toBe('700');
    expect(modeOf(socket)).toBe('700');
    const client = new Redis(redisOptions({ redisUrl: redis.url }, 'request'));
    expect(await client.config('GET', 'port')).toEqual(['port', '0']);
    client.disconnect();
    // Whatever the umask of who starts it.
    const earlier = process.umask(0);
    const open = await startEmbeddedRedis().finally(() => process.umask(earlier));
    const path = decodeURI(new URL(open.url).pathname);
    expect([modeOf(dirname(path)), modeOf(path)]).toEqual(['700', '700']);
    await open.stop();
  } finally {
    await redis.stop();
  }
});

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

it('is gone, folder and all, when the process that started it was killed', async () => {
  const dev = startCli(['dev', '--no-demo', '--device', 'cpu']);
  let printed = '';
  dev.child.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const url = await until(() => /REDIS_URL=(unix:\S+)/.exec(printed)?.[1]);
  await checkRedis({ redisUrl: url });
  dev.child.kill('SIGKILL');
  await dev.result;
  const folder = dirname(decodeURI(new URL(url).pathname));
  await until(() => !existsSync(folder));
  await expect(checkRedis({ redisUrl: url })).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' });
});

it('puts a run on the queue once, however often it is asked to', async () => {
  const redis = await startEmbeddedRedis();
  const queues = new Queues({ redisUrl: redis.url, prefix: 'test' });
  try {
    const job = {
      run,
      out: 'memory://out/',
      phase: 'planning',
      planned: 0,
      plannedItems: 0,
      priority: 0,
    } as const;
    const ids = await Promise.all(
      [0, 1, 1, 2].map((generation) => queues.addPlanJob({ ...job, generation })),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await queues.get('plan').getJobCountByTypes('wait')).toBe(1);
    // A job that ended gives the place free.
    await queues.get('plan').remove(planJobId(run, 0));
    await queues.get('plan').removeDeduplicationKey(run);
    expect(await queues.addPlanJob({ ...job, generation: 9 })).toBe(planJobId(run, 9));
  } finally {
    await queues.close();
    await redis.stop();
  }
});
