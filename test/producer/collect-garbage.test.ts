import { beforeEach, describe, expect, it } from 'vitest';
import { commitDocument, type Commit } from '../../src/contract/ledger.ts';
import { runDocument } from '../../src/contract/run.ts';
import { collectGarbage, type Garbage } from '../../src/producer/collect-garbage.ts';
import { ledgerKeys } from '../../src/storage/ledger-keys.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { summarise } from '../../src/storage/summarise-run.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { TestStores } from '../pipeline/source/support.ts';
import { fakeRun } from '../support/fake-run.ts';
import { fakeTrainRun } from '../support/fake-train-run.ts';
import { fakeEpochCommit, fakeStepCommit } from '../support/fake-training.ts';

const BYTES = Uint8Array.of(1, 2, 3);
const HOUR_MS = 3_600_000;
const run = fakeRun();
let stores: TestStores;
let ledger: RunLedger;

beforeEach(async () => {
  stores = new TestStores();
  ledger = new RunLedger(stores.open('memory://out/'));
  await ledger.createRun(run);
});

function commitOf(shard: number, token: string): Commit {
  return {
    schema: commitDocument.id,
    run: run.run,
    shard,
    token,
    worker: 'w',
    committedAt: '2026-01-02T03:04:15.000Z',
    part: { key: ledgerKeys.part(shard, token, 'jsonl'), bytes: 3, digest: 'sha256:22', rows: 9 },
    errors: { key: ledgerKeys.errors(shard, token), bytes: 3, digest: 'sha256:33', rows: 1 },
    items: 10,
    labelled: 9,
    errorsByCode: { IMAGE_EMPTY: 1 },
    bytesRead: 100,
    seconds: 1,
    stages: { fetch: 1, decode: 2, compute: 3, write: 4 },
  };
}

async function writeAttempt(shard: number, token: string): Promise<string[]> {
  const keys = [ledgerKeys.part(shard, token, 'jsonl'), ledgerKeys.errors(shard, token)];
  for (const key of keys) await ledger.store.put(key, BYTES);
  return keys;
}

async function allKeys(): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of ledger.store.list('')) keys.push(...page.map(({ key }) => key));
  return keys.filter((key) => key !== 'run.json');
}

function collect(graceHours: number, options: { dryRun?: boolean; aheadMs?: number } = {}): Promise<Garbage> {
  const now = new Date(Date.now() + (options.aheadMs ?? 0));
  return collectGarbage(ledger, stores, { graceHours, dryRun: options.dryRun ?? false, now });
}

describe('collectGarbage', () => {
  it('removes what other attempts at a committed shard wrote, and keeps what the commit names', async () => {
    const kept = await writeAttempt(0, 'winner0001');
    await writeAttempt(0, 'loser00001');
    await writeAttempt(0, 'loser00002');
    await ledger.commit(commitOf(0, 'winner0001'));
    expect(await collect(24)).toEqual({ objects: 4, bytes: 12, unfinished: 0 });
    expect(await allKeys()).toEqual(['commits/000000.json', ...kept.toSorted()].toSorted());
    expect(await collect(24)).toEqual({ objects: 0, bytes: 0, unfinished: 0 });
  });

  it('leaves what may belong to an attempt in progress until its time is over', async () => {
    await writeAttempt(7, 'running001');
    expect(await collect(1)).toMatchObject({ objects: 0 });
    expect(await collect(1, { aheadMs: 2 * HOUR_MS })).toMatchObject({ objects: 2 });
    expect(await allKeys()).toEqual([]);
  });

  it('of a run that is done removes everything that no commit names, whatever its age', async () => {
    const kept = await writeAttempt(0, 'winner0001');
    await ledger.commit(commitOf(0, 'winner0001'));
    await writeAttempt(1, 'stray00001');
    await ledger.store.put('.imagemill-probe-1234', BYTES);
    await ledger.createSummary(await summarise(ledger, run));
    expect(await collect(24)).toMatchObject({ objects: 3 });
    expect(await allKeys()).toEqual(['commits/000000.json', ...kept, 'summary.json'].toSorted());
  });

  it('touches nothing where attempts do not write', async () => {
    const keys = ['curves.png', 'parts.txt', 'parts/readme.txt', 'sub/parts/000000.aaaaaaaaaa.jsonl'];
    for (const key of keys) await ledger.store.put(key, BYTES);
    expect(await collect(0, { aheadMs: HOUR_MS })).toMatchObject({ objects: 0 });
    expect(await allKeys()).toEqual(keys.toSorted());
  });

  it('only counts in a dry run', async () => {
    await writeAttempt(0, 'loser00001');
    await ledger.commit(commitOf(0, 'winner0001'));
    expect(await collect(24, { dryRun: true })).toMatchObject({ objects: 2, bytes: 6 });
    expect(await allKeys()).toHaveLength(3);
  });

  it('keeps the checkpoints and metrics that commits of a training run name', async () => {
    const training = new TrainingLedger(ledger.store);
    await ledger.store.put('run.json', runDocument.encode(fakeTrainRun()));
    const token = 'winner0001';
    const written = (key: string) => ({ key, bytes: 3, digest: 'sha256:22', rows: 1 });
    const stepFields = (epochNumber: number) => ({
      checkpoint: written(ledgerKeys.stepCheckpoint(epochNumber, 5, token)),
      metrics: written(ledgerKeys.metrics(epochNumber, 5, token)),
    });
    const epoch = await training.commitEpoch(
      fakeEpochCommit(1, 0.1, {
        checkpoint: written(ledgerKeys.epochCheckpoint(1, token)),
        metrics: written(ledgerKeys.metrics(1, 10, token)),
      }),
    );
    const earlier = await training.commitStep(fakeStepCommit(1, 5, stepFields(1)));
    const step = await training.commitStep(fakeStepCommit(2, 5, stepFields(2)));
    const kept = [
      epoch.checkpoint.key,
      epoch.metrics.key,
      earlier.metrics.key,
      step.checkpoint.key,
      step.metrics.key,
    ];
    const strays = [ledgerKeys.epochCheckpoint(1, 'loser00001'), ledgerKeys.metrics(1, 10, 'loser00001')];
    const perhapsRunning = [
      ledgerKeys.epochCheckpoint(2, 'running001'),
      ledgerKeys.stepCheckpoint(2, 9, 'running001'),
    ];
    for (const key of [...kept, ...strays, ...perhapsRunning]) await ledger.store.put(key, BYTES);
    const options = { graceHours: 24, dryRun: false };
    expect(await collectGarbage(ledger, stores, options)).toMatchObject({ objects: strays.length });
    const left = await allKeys();
    expect(left).toEqual(expect.arrayContaining([...kept, ...perhapsRunning]));
    expect(left).not.toEqual(expect.arrayContaining([strays[0]]));
  });

  it('goes through generations as well, each by its own commits', async () => {
    await ledger.commit(commitOf(3, 'winner0003'));
    await ledger.createSummary(await summarise(ledger, run));
    const nested = new RunLedger(stores.open('memory://out/generations/0001/'));
    await nested.createRun(run);
    await nested.commit(commitOf(0, 'winner0001'));
    await writeAttempt(0, 'winner0001');
    for (const token of ['winner0001', 'loser00001']) {
      await nested.store.put(ledgerKeys.part(0, token, 'jsonl'), BYTES);
    }
    await nested.store.put(ledgerKeys.part(1, 'running001', 'jsonl'), BYTES);
    // The run itself has no commit that names its attempt's two objects; the generation's loser has one object.
    expect(await collect(24)).toMatchObject({ objects: 3 });
    expect(await nested.store.head(ledgerKeys.part(1, 'running001', 'jsonl'))).not.toBeNull();
  });
});
