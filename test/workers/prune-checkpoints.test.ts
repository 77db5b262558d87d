import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { epochsToKeep, pruneEpochs, pruneSteps } from '../../src/workers/prune-checkpoints.ts';
import { fakeEpochCommit, fakeStepCommit } from '../support/fake-training.ts';

const logger = createLogger('silent');
const BYTES = Uint8Array.of(1);

function emptyLedger(): TrainingLedger {
  return new TrainingLedger(new MemoryStore(new MemoryBucket('out')));
}

async function keysOf({ store }: TrainingLedger, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of store.list(prefix)) keys.push(...page.map(({ key }) => key));
  return keys;
}

describe('epochsToKeep', () => {
  it.each([
    [[1], 1, 0, [1]],
    [[1, 2, 3], 1, 0, [1, 3]],
    [[1, 2, 3, 4, 5], 2, 1, [2, 4, 5]],
    [[1, 2, 3, 4, 5], 5, 2, [3, 4, 5]],
    [[1, 2], 2, 9, [1, 2]],
  ])('of %j with the best %i and %i more keeps %j', (epochs, best, keep, expected) => {
    expect([...epochsToKeep(epochs, best, keep)].toSorted((a, b) => a - b)).toEqual(expected);
  });

  it('keeps the best, the last, and as many others as asked for', () => {
    const runs = fc
      .integer({ min: 1, max: 30 })
      .chain((count) => fc.tuple(fc.constant(count), fc.integer({ min: 1, max: count }), fc.nat(40)));
    fc.assert(
      fc.property(runs, ([count, best, keep]) => {
        const epochs = Array.from({ length: count }, (_, index) => index + 1);
        const kept = epochsToKeep(epochs, best, keep);
        expect(kept.has(best) && kept.has(count)).toBe(true);
        const must = best === count ? 1 : 2;
        expect(kept.size).toBe(Math.min(count, must + keep));
        const dropped = epochs.filter((epoch) => !kept.has(epoch));
        const others = [...kept].filter((epoch) => epoch !== best && epoch !== count);
        expect(Math.max(0, ...dropped)).toBeLessThan(Math.min(count + 1, ...others));
      }),
    );
  });
});

describe('pruneEpochs', () => {
  it('removes checkpoints and nothing else, and does not mind those that are gone', async () => {
    const training = emptyLedger();
    const commits = [1, 2, 3].map((epoch) => fakeEpochCommit(epoch, 0.1));
    for (const commit of commits) {
      await training.commitEpoch(commit);
      await training.store.put(commit.checkpoint.key, BYTES);
      await training.store.put(commit.metrics.key, BYTES);
    }
    for (let times = 0; times < 2; times += 1) {
      await pruneEpochs(training, commits, new Set([2, 3]));
      expect(await keysOf(training, 'checkpoints/')).toEqual(
        [2, 3].map((n) => `checkpoints/${n}.safetensors`),
      );
    }
    expect(await keysOf(training, 'metrics/')).toHaveLength(3);
    expect(await keysOf(training, 'epochs/')).toHaveLength(3);
  });
});

describe('pruneSteps', () => {
  it('removes the checkpoints before a step of that epoch', async () => {
    const training = emptyLedger();
    for (const [epoch, step] of [
      [1, 2],
      [1, 4],
      [1, 6],
      [2, 2],
    ] as const) {
      const commit = fakeStepCommit(epoch, step);
      await training.commitStep(commit);
      await training.store.put(commit.checkpoint.key, BYTES);
    }
    await pruneSteps(training, 1, 4, logger);
    expect(await keysOf(training, 'checkpoints/')).toEqual(
      ['1-4', '1-6', '2-2'].map((name) => `checkpoints/${name}.safetensors`),
    );
    await pruneSteps(training, 1, Number.POSITIVE_INFINITY, logger);
    expect(await keysOf(training, 'checkpoints/')).toEqual(['checkpoints/2-2.safetensors']);
    expect(await keysOf(training, 'steps/')).toHaveLength(4);
  });

  it('leaves what it cannot remove, and the epoch goes on', async () => {
    const training = emptyLedger();
    await training.commitStep(fakeStepCommit(1, 2));
    vi.spyOn(training.store, 'delete').mockRejectedValue(new Error('refused'));
    const warn = vi.spyOn(logger, 'warn');
    await pruneSteps(training, 1, 9, logger);
    expect(warn).toHaveBeenCalledOnce();
  });
});
