import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { checkRedis } from '../../src/queue/connection.ts';
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
  await checkRedis(redis.url);
  await redis.stop();
  expect(existsSync(folder)).toBe(false);
  await expect(checkRedis(redis.url)).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' });
});

it('is gone, folder and all, when the process that started it was killed', async () => {
  const dev = startCli(['dev', '--device', 'cpu']);
  let printed = '';
  dev.child.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const url = await until(() => /REDIS_URL=(unix:\S+)/.exec(printed)?.[1]);
  await checkRedis(url);
  dev.child.kill('SIGKILL');
  await dev.result;
  const folder = dirname(decodeURI(new URL(url).pathname));
  await until(() => !existsSync(folder));
  await expect(checkRedis(url)).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' });
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
