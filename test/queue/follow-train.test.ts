import { Worker, UnrecoverableError } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureDocument, planDocument } from '../../src/contract/ledger.ts';
import { QUEUES } from '../../src/contract/queues.ts';
import type { TrainProgress } from '../../src/contract/training.ts';
import { waitingProgress } from '../../src/pipeline/training/checkpoint-writer.ts';
import { redisOptions } from '../../src/queue/connection.ts';
import { followTrain } from '../../src/queue/follow-train.ts';
import { Queues } from '../../src/queue/queues.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { fakeEpochCommit, tinyTrainRun } from '../support/fake-training.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/training.ts';

const { run } = tinyTrainRun();
const NEVER = new AbortController().signal;

let redis: TestRedis;
let queues: Queues;
let ledger: RunLedger;
let training: TrainingLedger;
let prefix = '';
let tests = 0;

beforeAll(async () => {
  redis = await startRedis();
}, 60_000);

beforeEach(async () => {
  prefix = `test-${(tests += 1)}`;
  queues = new Queues({ redisUrl: redis.url, prefix });
  const store = new MemoryStore(new MemoryBucket('out'));
  [ledger, training] = [new RunLedger(store), new TrainingLedger(store)];
  await ledger.createPlan({ schema: planDocument.id, run, shards: 3, items: 12 });
});

afterEach(() => queues.close());
afterAll(() => redis.stop());

/** Follows the run, and does an attempt at its first epoch meanwhile. */
async function follow(
  attempt: (report: (progress: TrainProgress) => Promise<void>) => Promise<void>,
  signal = NEVER,
) {
  const progress: TrainProgress[] = [];
  const epochs: number[] = [];
  const state = followTrain(
    { ledger, run, queues },
    { onProgress: (value) => progress.push(value), onEpoch: ({ epoch }) => epochs.push(epoch) },
    signal,
  );
  const job = { run, out: 'memory://out/', epoch: 1, generation: 0, priority: 100 };
  await queues.addEpochJob(job, 1);
  const worker = new Worker(
    QUEUES.train,
    async (taken) => {
      // Its events are heard of from when the follower listens.
      await new Promise((resolve) => setTimeout(resolve, 300));
      await attempt((value) => taken.updateProgress(value));
    },
    { connection: redisOptions({ redisUrl: redis.url }, 'worker'), prefix },
  );
  try {
    return { state: await state, progress, epochs };
  } finally {
    await worker.close();
  }
}

describe('followTrain', () => {
  it('tells of progress and of each epoch once, until the run has ended', async () => {
    await training.commitEpoch(fakeEpochCommit(1, 0.3));
    const step = { ...waitingProgress(2, 4, 8), phase: 'training' as const };
    const { state, progress, epochs } = await follow(async (report) => {
      await report(step);
      await training.commitEpoch(fakeEpochCommit(2, 0.2));
      await training.commitEpoch(fakeEpochCommit(3, 0.1));
      await ledger.cancel(run, new Date());
    });
    expect(state).toBe('cancelled');
    expect(progress).toEqual([step]);
    // The first was there before.
    expect(epochs).toEqual([2, 3]);
  });

  it('ends with a run that failed', async () => {
    const { state } = await follow(async () => {
      await ledger.writeFailure({
        schema: failureDocument.id,
        run,
        failedAt: '2026-01-02T03:04:05.000Z',
        code: 'LOSS_NOT_FINITE',
        message: 'NaN',
        shards: [],
      });
      throw new UnrecoverableError('NaN');
    });
    expect(state).toBe('failed');
  });

  it('ends with a job that failed for good, though the ledger does not tell', async () => {
    const { state } = await follow(() => Promise.reject(new Error('the store is gone')));
    expect(state).toBe('failed');
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const reason = new Error('interrupted');
    const outcome = expect(follow(() => Promise.resolve(), stop.signal)).rejects.toBe(reason);
    await until(async () => (await queues.get(QUEUES.train).getCompletedCount()) === 1);
    stop.abort(reason);
    await outcome;
  });
});
