import { QueueEvents, Worker, type Job } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { QUEUES } from '../../src/contract/queues.ts';
import { redisOptions } from '../../src/queue/connection.ts';
import { Queues } from '../../src/queue/queues.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/training.ts';

const RUN = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';
const ATTEMPTS = 3;

let redis: TestRedis;
let prefix = '';
let tests = 0;
let queues: Queues;
const workers: Worker[] = [];

beforeAll(async () => {
  redis = await startRedis();
}, 60_000);

beforeEach(() => {
  prefix = `test-${(tests += 1)}`;
  queues = new Queues({ redisUrl: redis.url, prefix });
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close(true)));
  await queues.close();
});

afterAll(() => redis.stop());

const target = (): { connection: ReturnType<typeof redisOptions>; prefix: string } => ({
  connection: redisOptions({ redisUrl: redis.url }, 'worker'),
  prefix,
});

function work(queue: string, processor: (job: Job) => Promise<unknown>): Worker {
  const worker = new Worker(queue, processor, { ...target(), lockDuration: 1_000, stalledInterval: 300 });
  worker.on('error', () => {});
  workers.push(worker);
  return worker;
}

const epochJob = (epoch: number, generation = 0) => ({
  run: RUN,
  out: 'memory://out/',
  epoch,
  generation,
  priority: 100,
});

describe('addEpochJob', () => {
  it('adds one job for an epoch, however often and in whatever generation it is asked to', async () => {
    const first = await queues.addEpochJob(epochJob(2), ATTEMPTS);
    expect(first).toBe(`${RUN}.e000002.g0`);
    expect(await queues.addEpochJob(epochJob(2), ATTEMPTS)).toBe(first);
    expect(await queues.addEpochJob(epochJob(2, 5), ATTEMPTS)).toBe(first);
    expect(await queues.get(QUEUES.train).getJobCountByTypes('prioritized', 'wait', 'delayed')).toBe(1);
    expect(await queues.addEpochJob(epochJob(3), ATTEMPTS)).toBe(`${RUN}.e000003.g0`);
  });

  it('adds another when the one before is done or has failed', async () => {
    for (const [generation, processor] of [
      [0, () => Promise.resolve()],
      [1, () => Promise.reject(new Error('broken'))],
    ] as const) {
      const id = await queues.addEpochJob(epochJob(1, generation), 1);
      expect(id).toBe(`${RUN}.e000001.g${generation}`);
      const worker = work(QUEUES.train, processor);
      await until(async () =>
        ['completed', 'failed'].includes(await queues.get(QUEUES.train).getJobState(id)),
      );
      await worker.close();
    }
    expect(await queues.addEpochJob(epochJob(1, 2), 1)).toBe(`${RUN}.e000001.g2`);
  });

  it('holds a job back until its time has come', async () => {
    const id = await queues.addEpochJob(epochJob(1), ATTEMPTS, 60_000);
    const job = await queues.get(QUEUES.train).getJob(id);
    expect(await job?.getState()).toBe('delayed');
    expect(job?.opts).toMatchObject({ attempts: ATTEMPTS, priority: 100, delay: 60_000 });
    expect(await queues.addEpochJob(epochJob(1, 9), ATTEMPTS)).toBe(id);
  });

  it('refuses a job that breaks the contract', async () => {
    await expect(async () => queues.addEpochJob(epochJob(0), ATTEMPTS)).rejects.toMatchObject({
      code: 'CONTRACT_INVALID',
    });
  });
});

describe('findEpochJob', () => {
  it('finds the job that works for an epoch, as long as it does', async () => {
    expect(await queues.findEpochJob(RUN, 1)).toBeNull();
    const id = await queues.addEpochJob(epochJob(1, 3), ATTEMPTS);
    expect(await queues.findEpochJob(RUN, 1)).toBe(id);
    expect(await queues.findEpochJob(RUN, 2)).toBeNull();
    let finish: () => void = () => {};
    work(QUEUES.train, () => new Promise<void>((resolve) => (finish = resolve)));
    await until(async () => (await queues.get(QUEUES.train).getActiveCount()) === 1);
    expect(await queues.findEpochJob(RUN, 1)).toBe(id);
    finish();
    await until(async () => (await queues.findEpochJob(RUN, 1)) === null);
  });
});

describe('hasMoreUrgent', () => {
  const parent = { id: 'plan', queue: 'test:plan' };
  const shard = (index: number) => ({ run: RUN, out: 'memory://out/', shard: index, items: 1 });
  const addShards = async (priority: number, attempts = 1, first = 0): Promise<void> => {
    await queues.get(QUEUES.plan).add('plan', {}, { jobId: parent.id });
    await queues.addShardJobs(
      'classify',
      [shard(first), shard(first + 1)],
      { id: parent.id, queue: queues.get(QUEUES.plan).qualifiedName },
      { generation: 0, priority, attempts },
    );
  };

  it.each([
    [0, 100, true],
    [99, 100, true],
    [100, 100, false],
    [200, 100, false],
    [0, 1, true],
    [0, 0, false],
  ])('with jobs of priority %i says of %i: %j', async (waiting, priority, expected) => {
    expect(await queues.hasMoreUrgent(QUEUES.classify, priority)).toBe(false);
    await addShards(waiting);
    expect(await queues.hasMoreUrgent(QUEUES.classify, priority)).toBe(expected);
  });

  it('finds the urgent job among those that are not', async () => {
    await addShards(200);
    await addShards(300, 1, 2);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 100)).toBe(false);
    await addShards(50, 1, 4);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 100)).toBe(true);
  });

  it('does not count jobs in progress', async () => {
    work(QUEUES.classify, () => new Promise(() => {}));
    work(QUEUES.classify, () => new Promise(() => {}));
    await addShards(1);
    await until(async () => (await queues.get(QUEUES.classify).getActiveCount()) === 2);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 100)).toBe(false);
  });

  it('counts a job between two tries, which only a worker that takes jobs can end', async () => {
    await addShards(1, 5);
    const worker = work(QUEUES.classify, () => Promise.reject(new Error('busy')));
    await until(async () => (await queues.get(QUEUES.classify).getDelayedCount()) === 2);
    await worker.close();
    expect(await queues.get(QUEUES.classify).getDelayedCount()).toBe(2);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 100)).toBe(true);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 1)).toBe(false);
  });

  it('tells a job of a worker that died by its own priority, though it waits before all others', async () => {
    await addShards(200);
    const victim = work(QUEUES.classify, () => new Promise(() => {}));
    await until(async () => (await queues.get(QUEUES.classify).getActiveCount()) === 1);
    // It never renews its lock, nor hands its job back.
    await victim.close(true);
    const watch = new Worker(QUEUES.classify, null, { ...target(), autorun: false, stalledInterval: 300 });
    workers.push(watch);
    await watch.startStalledCheckTimer();
    await until(async () => (await queues.get(QUEUES.classify).getWaitingCount()) === 1);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 100)).toBe(false);
    expect(await queues.hasMoreUrgent(QUEUES.classify, 300)).toBe(true);
  });
});

describe('schedules', () => {
  const schedule = {
    dataset: 'memory://dataset/',
    out: 'memory://out/',
    recipe: 'alexnet-small',
    settings: ['epochs=1'],
    seed: 0,
    checkpointSteps: 5,
    keepCheckpoints: 0,
    priority: 100,
  };

  it('are listed, replaced under the same id, and removed', async () => {
    await queues.scheduleTrain('train-1', '0 2 * * *', schedule);
    await queues.scheduleTrain('train-1', '0 3 * * *', { ...schedule, seed: 4 });
    const [listed, ...others] = await queues.schedules();
    expect(others).toEqual([]);
    expect(listed).toMatchObject({
      id: 'train-1',
      pattern: '0 3 * * *',
      data: { seed: 4, settings: ['epochs=1'] },
    });
    expect(listed?.next).toMatch(/T03:00:00\.000Z$/);
    expect(await queues.removeSchedule('train-1')).toBe(true);
    expect(await queues.removeSchedule('train-1')).toBe(false);
    expect(await queues.schedules()).toEqual([]);
    expect(await queues.get(QUEUES.plan).getJobCountByTypes('delayed', 'wait', 'prioritized')).toBe(0);
  });

  it('are refused where their times cannot be read', async () => {
    await expect(queues.scheduleTrain('train-1', 'at night', schedule)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(/^--cron: expected five or six fields .*, got "at night"/) as string,
    });
    expect(await queues.schedules()).toEqual([]);
  });
});

describe('events', () => {
  it('call a job failed only when it will not be tried again', async () => {
    const events = queues.events(QUEUES.train);
    expect(events).toBeInstanceOf(QueueEvents);
    await events.waitUntilReady();
    const failed: string[] = [];
    events.on('failed', ({ jobId }) => failed.push(jobId));
    const id = await queues.addEpochJob(epochJob(1), 2);
    let tries = 0;
    work(QUEUES.train, () => {
      tries += 1;
      expect(failed).toEqual([]);
      return Promise.reject(new Error('busy'));
    });
    await until(() => failed.length > 0);
    expect([tries, failed]).toEqual([2, [id]]);
    expect(await queues.failedReason(QUEUES.train, id)).toBe('busy');
    await events.close();
  });
});
