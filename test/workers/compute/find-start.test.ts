import { describe, expect, it } from 'vitest';
import { NO_TOTALS } from '../../../src/pipeline/training/epoch-meter.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';
import { TrainingLedger } from '../../../src/storage/training-ledger.ts';
import { findStart } from '../../../src/workers/compute/find-start.ts';
import { fakeEpochCommit, fakeStepCommit } from '../../support/fake-training.ts';

async function ledgerWith(errors: readonly number[], steps: readonly [epoch: number, step: number][]) {
  const ledger = new TrainingLedger(new MemoryStore(new MemoryBucket('out')));
  for (const [index, error] of errors.entries()) await ledger.commitEpoch(fakeEpochCommit(index + 1, error));
  for (const [epoch, step] of steps) await ledger.commitStep(fakeStepCommit(epoch, step));
  return ledger;
}

describe('findStart', () => {
  it('is the run’s first weights where nothing is committed', async () => {
    expect(await findStart(await ledgerWith([], []), 1)).toEqual({
      epoch: 1,
      from: { step: 0, totals: NO_TOTALS },
      checkpoint: null,
      errorsBefore: [],
    });
  });

  it('is the end of the epoch before', async () => {
    const start = await findStart(await ledgerWith([0.4, 0.3], [[1, 4]]), 3);
    expect(start).toEqual({
      epoch: 3,
      from: { step: 0, totals: NO_TOTALS },
      checkpoint: { object: fakeEpochCommit(2, 0.3).checkpoint, epoch: 2, step: 10 },
      errorsBefore: [0.4, 0.3],
    });
  });

  it('is the newest checkpoint within the epoch, with the sums so far', async () => {
    const ledger = await ledgerWith(
      [0.4],
      [
        [1, 9],
        [2, 2],
        [2, 6],
        [2, 4],
      ],
    );
    const newest = fakeStepCommit(2, 6);
    expect(await findStart(ledger, 2)).toEqual({
      epoch: 2,
      from: { step: 6, totals: newest.totals },
      checkpoint: { object: newest.checkpoint, epoch: 2, step: 6 },
      errorsBefore: [0.4],
    });
  });

  it('does not look at epochs from this one on', async () => {
    const start = await findStart(await ledgerWith([0.4, 0.3, 0.2], []), 2);
    expect(start.checkpoint?.epoch).toBe(1);
    expect(start.errorsBefore).toEqual([0.4]);
  });
});
