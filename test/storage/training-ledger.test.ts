import { describe, expect, it } from 'vitest';
import { trainSummaryDocument } from '../../src/contract/training.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { fakeEpochCommit, fakeStepCommit } from '../support/fake-training.ts';

const emptyLedger = () => new TrainingLedger(new MemoryStore(new MemoryBucket('out')));

describe('TrainingLedger', () => {
  it('has no epochs, steps or summary at first', async () => {
    const ledger = emptyLedger();
    expect(await ledger.epochs()).toEqual([]);
    expect(await ledger.steps(1)).toEqual([]);
    expect(await ledger.findEpoch(1)).toBeNull();
    expect(await ledger.findSummary()).toBeNull();
  });

  it('lets the first commit of an epoch, or of a step, stand', async () => {
    const ledger = emptyLedger();
    const [first, second] = [fakeEpochCommit(1, 0.1), fakeEpochCommit(1, 0.2, { token: 'token11111' })];
    expect(await ledger.commitEpoch(first)).toEqual(first);
    expect(await ledger.commitEpoch(second)).toEqual(first);
    expect(await ledger.findEpoch(1)).toEqual(first);

    const step = fakeStepCommit(1, 5);
    expect(await ledger.commitStep(step)).toEqual(step);
    expect((await ledger.commitStep(fakeStepCommit(1, 5, { token: 'token11111' }))).token).toBe('token00000');
    expect(await ledger.steps(1)).toEqual([step]);
  });

  it('lists epochs in order, however many digits they have, and leaves foreign objects alone', async () => {
    const ledger = emptyLedger();
    const numbers = [1_000_000, 2, 40, 1, 999_999];
    for (const epoch of numbers) {
      await ledger.commitEpoch(fakeEpochCommit(epoch, 0.1, { committedAt: '2026-01-02T03:04:05.000Z' }));
    }
    await ledger.store.put('epochs/notes.txt', Uint8Array.of(1));
    await ledger.store.put('epochs/000003.json.bak', Uint8Array.of(1));
    expect((await ledger.epochs()).map(({ epoch }) => epoch)).toEqual([1, 2, 40, 999_999, 1_000_000]);
  });

  it('lists the steps of one epoch only, in order', async () => {
    const ledger = emptyLedger();
    for (const [epoch, step] of [
      [1, 1000],
      [1, 20],
      [10, 7],
      [1, 3],
      [1_000_001, 8],
    ] as const) {
      await ledger.commitStep(fakeStepCommit(epoch, step));
    }
    expect((await ledger.steps(1)).map(({ step }) => step)).toEqual([3, 20, 1000]);
    expect((await ledger.steps(10)).map(({ step }) => step)).toEqual([7]);
    expect((await ledger.steps(1_000_001)).map(({ step }) => step)).toEqual([8]);
    expect(await ledger.steps(100)).toEqual([]);
  });

  it('reads more epochs than it asks for at a time', async () => {
    const ledger = emptyLedger();
    for (let epoch = 1; epoch <= 90; epoch += 1) {
      await ledger.commitEpoch(fakeEpochCommit(epoch, 0.1, { committedAt: '2026-01-02T03:04:05.000Z' }));
    }
    expect((await ledger.epochs()).map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 90 }, (_, i) => i + 1),
    );
  });

  it('keeps the first summary', async () => {
    const ledger = emptyLedger();
    const summary = {
      schema: trainSummaryDocument.id,
      run: fakeEpochCommit(1, 0).run,
      epochs: 1,
      stoppedEarly: false,
      best: { epoch: 1, top1Error: 0.1, top5Error: 0, model: 'best.safetensors', digest: 'sha256:1' },
      last: { epoch: 1, model: 'last.safetensors', digest: 'sha256:1' },
      items: 8,
      startedAt: '2026-01-02T03:04:05.000Z',
      finishedAt: '2026-01-02T03:04:06.000Z',
      seconds: 1,
      imagesPerSecond: 8,
    };
    expect(await ledger.createSummary(summary)).toBe(true);
    expect(await ledger.createSummary({ ...summary, epochs: 2 })).toBe(false);
    expect(await ledger.findSummary()).toEqual(summary);
  });

  it('says which document cannot be read', async () => {
    const ledger = emptyLedger();
    await ledger.store.put('epochs/000001.json', new TextEncoder().encode('{"schema":"imagemill/epoch'));
    await expect(ledger.epochs()).rejects.toMatchObject({
      code: 'CONTRACT_INVALID',
      message: expect.stringContaining('memory://out/epochs/000001.json') as string,
    });
  });
});
