import { describe, expect, it } from 'vitest';
import { failureDocument } from '../../src/contract/ledger.ts';
import type { TrainRun } from '../../src/contract/run.ts';
import type { EpochCommit } from '../../src/contract/training.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { finishEpoch } from '../../src/workers/finish-epoch.ts';
import { fakeEpochCommit, tinyTrainRun } from '../support/fake-training.ts';

/** A ledger with epochs of these validation errors, and what is published from it. */
async function scene(errors: readonly number[], run: TrainRun = tinyTrainRun()) {
  const store = new MemoryStore(new MemoryBucket('out'));
  const ledger = new RunLedger(store);
  const training = new TrainingLedger(store);
  const commits: EpochCommit[] = [];
  for (const [index, error] of errors.entries()) {
    const commit = fakeEpochCommit(index + 1, error);
    commits.push(commit);
    await training.commitEpoch(commit);
    await store.put(commit.checkpoint.key, Uint8Array.of(index));
  }
  const published: [checkpoint: string, models: readonly string[]][] = [];
  const publish = async (checkpoint: string, models: readonly string[]): Promise<string> => {
    published.push([checkpoint, models]);
    // Fails where the checkpoint is gone.
    await store.get(checkpoint);
    return `digest of ${checkpoint}`;
  };
  const finish = (epoch = errors.length): Promise<number | null> => {
    const commit = commits[epoch - 1];
    if (commit === undefined) throw new Error(`no epoch ${epoch}`);
    return finishEpoch(ledger, training, run, commit, publish);
  };
  const checkpoints = async (): Promise<string[]> => {
    const keys: string[] = [];
    for await (const page of store.list('checkpoints/')) keys.push(...page.map(({ key }) => key));
    return keys;
  };
  return { ledger, training, published, finish, checkpoints, store };
}

const checkpointOf = (epoch: number) => `checkpoints/${epoch}.safetensors`;

describe('finishEpoch', () => {
  it('publishes the last model, the best too where it is the same, and names the next epoch', async () => {
    const at = await scene([0.3, 0.2]);
    expect(await at.finish()).toBe(3);
    expect(at.published).toEqual([[checkpointOf(2), ['last.safetensors', 'best.safetensors']]]);
    expect(await at.training.findSummary()).toBeNull();
    const curves = await at.store.get('curves.png');
    expect([...curves.subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);
  });

  it('leaves the best model in place where the epoch was not better, also where it was as good', async () => {
    for (const error of [0.3, 0.2]) {
      const at = await scene([0.2, error]);
      await at.finish();
      expect(at.published).toEqual([[checkpointOf(2), ['last.safetensors']]]);
    }
  });

  it('keeps the checkpoints of the best and the last epoch, and as many as asked for', async () => {
    const at = await scene([0.5, 0.1, 0.4, 0.3, 0.2], tinyTrainRun({ epochs: 9 }, { keepCheckpoints: 1 }));
    await at.finish();
    expect(await at.checkpoints()).toEqual([2, 4, 5].map(checkpointOf));
  });

  it('ends with a summary after the last epoch, with the best model published again', async () => {
    const at = await scene([0.3, 0.1, 0.2]);
    await at.ledger.writeFailure({
      schema: failureDocument.id,
      run: tinyTrainRun().run,
      failedAt: '2026-01-02T03:04:05.000Z',
      code: 'STORE_FULL',
      message: 'an earlier attempt',
      shards: [],
    });
    expect(await at.finish()).toBeNull();
    expect(at.published).toEqual([
      [checkpointOf(3), ['last.safetensors']],
      [checkpointOf(2), ['best.safetensors']],
    ]);
    expect(await at.training.findSummary()).toMatchObject({
      epochs: 3,
      stoppedEarly: false,
      best: { epoch: 2, top1Error: 0.1, model: 'best.safetensors', digest: `digest of ${checkpointOf(2)}` },
      last: { epoch: 3, digest: `digest of ${checkpointOf(3)}` },
      items: 300,
      startedAt: '2026-01-02T03:04:05.000Z',
      finishedAt: '2026-01-02T03:04:13.000Z',
      seconds: 8,
      imagesPerSecond: 20,
    });
    expect(await at.ledger.state()).toBe('done');
    expect(await at.ledger.findFailure()).toBeNull();
  });

  it('ends early where the error no longer falls', async () => {
    const run = tinyTrainRun({ epochs: 9, earlyStopping: 2 });
    expect(await (await scene([0.2, 0.3], run)).finish()).toBe(3);
    const at = await scene([0.2, 0.3, 0.25], run);
    expect(await at.finish()).toBeNull();
    expect(await at.training.findSummary()).toMatchObject({
      epochs: 3,
      stoppedEarly: true,
      best: { epoch: 1 },
    });
  });

  it('does not call it early when the last epoch is the one that would have stopped it', async () => {
    const at = await scene([0.2, 0.3, 0.25], tinyTrainRun({ epochs: 3, earlyStopping: 2 }));
    expect(await at.finish()).toBeNull();
    expect(await at.training.findSummary()).toMatchObject({ stoppedEarly: false });
  });

  it('comes to the same when it is done twice, as after a worker that died in it', async () => {
    const at = await scene([0.3, 0.1, 0.2]);
    expect(await at.finish()).toBeNull();
    const first = await at.training.findSummary();
    expect(await at.finish()).toBeNull();
    expect(await at.training.findSummary()).toEqual(first);
  });

  it('leaves everything as it is where a later epoch is committed already', async () => {
    const at = await scene([0.3, 0.1, 0.2]);
    expect(await at.finish(2)).toBeNull();
    expect(at.published).toEqual([]);
    expect(await at.checkpoints()).toHaveLength(3);
    expect(await at.training.findSummary()).toBeNull();
  });

  it('goes by the training error where there is no validation split', async () => {
    const at = await scene([]);
    const commits = [0.1, 0.4].map((top1Error, index) => {
      const { train, ...commit } = fakeEpochCommit(index + 1, 0);
      return { ...commit, train: { ...train, top1Error }, validation: null };
    });
    for (const commit of commits) await at.training.commitEpoch(commit);
    const published: (readonly string[])[] = [];
    const [, second] = commits;
    if (second === undefined) throw new Error('expected two epochs');
    await finishEpoch(at.ledger, at.training, tinyTrainRun(), second, async (_, models) => {
      published.push(models);
      return '';
    });
    expect(published).toEqual([['last.safetensors']]);
  });
});
