import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { stepCommitDocument, type EpochCommit, type StepMetrics } from '../../../src/contract/training.ts';
import { EpochReader, parseMetrics, thinOut } from '../../../src/dashboard/catalogue/epoch-reader.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../../src/storage/training-ledger.ts';
import { fakeEpoch } from '../../support/fake-train-run.ts';
import { countedMemory, type Counted } from '../support.ts';

const STEPS_PER_EPOCH = 10;
let stores: Counted;
let training: TrainingLedger;
let reader: EpochReader;

beforeEach(() => {
  stores = countedMemory();
  const store = stores.resolver.open('memory://run/');
  training = new TrainingLedger(store);
  reader = new EpochReader(new RunLedger(store));
});

const metric = (epoch: number, step: number): StepMetrics => ({
  epoch,
  step,
  loss: 1,
  top1Error: 0.5,
  top5Error: 0.1,
  learningRate: 0.01,
  imagesPerSecond: 100,
  dataWaitShare: 0,
});

/** Metrics of the steps from one number to another, as a commit names them. */
async function segment(epoch: number, from: number, to: number): Promise<EpochCommit['metrics']> {
  const rows = Array.from({ length: to - from }, (_, index) => JSON.stringify(metric(epoch, from + index)));
  const key = `metrics/${epoch}-${to}.jsonl`;
  await training.store.put(key, new TextEncoder().encode(`${rows.join('\n')}\n`));
  return { key, bytes: 1, digest: 'sha256:00', rows: rows.length };
}

async function commitStep(epoch: number, from: number, step: number): Promise<void> {
  await training.commitStep({
    schema: stepCommitDocument.id,
    run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
    epoch,
    step,
    token: 'token00001',
    worker: 'w',
    committedAt: '2026-01-02T03:05:00.000Z',
    checkpoint: { key: 'c', bytes: 1, digest: 'sha256:00', rows: 0 },
    metrics: await segment(epoch, from, step),
    totals: { items: step * 10, lossSum: 1, top1Correct: 1, top5Correct: 1, seconds: 1, dataWaitSeconds: 0 },
  });
}

async function commitEpoch(epoch: number, from = 0): Promise<void> {
  await training.commitEpoch({
    ...fakeEpoch(epoch, 0.5, 0.5),
    metrics: await segment(epoch, from, STEPS_PER_EPOCH),
  });
}

const places = (rows: readonly StepMetrics[]) => rows.map(({ epoch, step }) => `${epoch}.${step}`);
const everyStep = (epochs: number) =>
  Array.from(
    { length: epochs * STEPS_PER_EPOCH },
    (_, at) => `${Math.floor(at / STEPS_PER_EPOCH) + 1}.${at % STEPS_PER_EPOCH}`,
  );

describe('a reader of epochs', () => {
  it('gives every step once, whenever it looked before', async () => {
    await commitStep(1, 0, 4);
    expect(places(await reader.steps())).toEqual(everyStep(1).slice(0, 4));
    expect(reader.items).toBe(40);
    await commitStep(1, 4, 7);
    await reader.steps();
    await commitEpoch(1, 7);
    await commitStep(2, 0, 3);
    expect(places(await reader.steps())).toEqual([...everyStep(1), '2.0', '2.1', '2.2']);
    expect(reader.items).toBe(100 + 30);
    await commitEpoch(2, 3);
    await commitEpoch(3);
    expect(places(await reader.steps())).toEqual(everyStep(3));
    expect(places(await new EpochReader(new RunLedger(training.store)).steps())).toEqual(everyStep(3));
  });

  it('reads each commit and each segment once', async () => {
    await commitEpoch(1);
    for (let step = 1; step <= 5; step += 1) await commitStep(2, step - 1, step);
    await reader.steps();
    const before = stores.calls.get;
    await reader.steps();
    await reader.refresh();
    // Only the look for the next epoch, which is not there yet.
    expect(stores.calls.get - before).toBe(2);
  });

  it('survives a segment that is gone, once it is there again', async () => {
    await commitStep(1, 0, 4);
    const bytes = await training.store.get('metrics/1-4.jsonl');
    await training.store.delete('metrics/1-4.jsonl');
    await expect(reader.steps()).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    await training.store.put('metrics/1-4.jsonl', bytes);
    expect(await reader.steps()).toHaveLength(4);
  });
});

it('lines of metrics that cannot be read leave a gap', () => {
  const text = `${JSON.stringify(metric(1, 0))}\n{"epoch":1}\nnull\n{\n\n${JSON.stringify(metric(1, 2))}`;
  expect(places(parseMetrics(new TextEncoder().encode(text)))).toEqual(['1.0', '1.2']);
});

describe('thinOut', () => {
  it('keeps at most so many, in order, evenly, and the last one', () => {
    fc.assert(
      fc.property(fc.nat(3_000), fc.integer({ min: 1, max: 500 }), (length, most) => {
        const values = Array.from({ length }, (_, index) => index);
        const thin = thinOut(values, most);
        expect(thin.length).toBeLessThanOrEqual(most);
        expect(thin.length).toBeGreaterThanOrEqual(Math.min(length, Math.floor(most / 2)));
        expect(thin.at(-1)).toBe(values.at(-1));
        const strides = new Set(thin.slice(1).map((value, index) => value - (thin[index] ?? 0)));
        expect(strides.size).toBeLessThanOrEqual(1);
      }),
    );
  });
});
