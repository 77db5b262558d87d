import { beforeEach, describe, expect, it, vi } from 'vitest';
import { failureDocument } from '../../src/contract/ledger.ts';
import { enqueueTrain } from '../../src/producer/enqueue-train.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { fakeEpochCommit, tinyTrainRun } from '../support/fake-training.ts';

const run = tinyTrainRun();
const created = Date.parse(run.createdAt);
const queues = {
  addEpochJob: vi.fn(async ({ epoch }: { epoch: number }) => `new job of epoch ${epoch}`),
  findEpochJob: vi.fn<(run: string, epoch: number) => Promise<string | null>>(),
};

beforeEach(() => {
  vi.clearAllMocks();
  queues.findEpochJob.mockResolvedValue(null);
});

async function ledgerWith(epochs: number): Promise<RunLedger> {
  const store = new MemoryStore(new MemoryBucket('out'));
  const training = new TrainingLedger(store);
  for (let epoch = 1; epoch <= epochs; epoch += 1) await training.commitEpoch(fakeEpochCommit(epoch, 0.1));
  return new RunLedger(store);
}

const enqueue = async (epochs: number, options: { startAt?: Date } = {}) =>
  enqueueTrain(await ledgerWith(epochs), run, queues, {
    priority: 100,
    now: new Date(created + 2_500),
    ...options,
  });

describe('enqueueTrain', () => {
  it('begins with the first epoch', async () => {
    expect(await enqueue(0)).toBe('new job of epoch 1');
    expect(queues.addEpochJob).toHaveBeenCalledExactlyOnceWith(
      { run: run.run, out: 'memory://out/', epoch: 1, generation: 2, priority: 100 },
      5,
      0,
    );
    expect(queues.findEpochJob).toHaveBeenCalledWith(run.run, 1);
  });

  it('goes on with the last epoch that is committed: its job sees to what follows', async () => {
    expect(await enqueue(2)).toBe('new job of epoch 2');
    expect(queues.findEpochJob).toHaveBeenCalledWith(run.run, 3);
  });

  it('finds the job that works for the run', async () => {
    queues.findEpochJob.mockResolvedValue('job in progress');
    expect(await enqueue(2)).toBe('job in progress');
    expect(queues.addEpochJob).not.toHaveBeenCalled();
  });

  it('waits until the time it is given, and not at all where that has passed', async () => {
    await enqueue(0, { startAt: new Date(created + 10_000) });
    await enqueue(0, { startAt: new Date(created) });
    expect(queues.addEpochJob.mock.calls.map((call: readonly unknown[]) => call[2])).toEqual([7_500, 0]);
  });

  it('removes the reason for which the run had stopped', async () => {
    const ledger = await ledgerWith(1);
    await ledger.writeFailure({
      schema: failureDocument.id,
      run: run.run,
      failedAt: run.createdAt,
      code: 'STORE_FULL',
      message: 'no room',
      shards: [],
    });
    await enqueueTrain(ledger, run, queues, { priority: 0 });
    expect(await ledger.findFailure()).toBeNull();
  });
});
