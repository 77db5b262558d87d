import sharp from 'sharp';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Item } from '../../src/contract/item.ts';
import { commitDocument, shardDocument } from '../../src/contract/ledger.ts';
import type { ResultRow } from '../../src/contract/rows.ts';
import type { EvaluateRun } from '../../src/contract/run.ts';
import { finishEvaluate } from '../../src/pipeline/finish-evaluate.ts';
import { createPartEncoder } from '../../src/pipeline/sink/create-part-encoder.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { fakeRun } from '../support/fake-run.ts';
import { errorOf, TestStores } from './source/support.ts';

/** Of `fakeRun`: cat, dog, bird. */
const RUN: EvaluateRun = (() => {
  const { spec, model, ...rest } = fakeRun({ topK: 3 });
  const dataset = { uri: 'memory://dataset/', digest: 'sha256:22' };
  return { ...rest, model, spec: { ...spec, kind: 'evaluate', dataset, split: 'val', topK: 3 } };
})();

let ledger: RunLedger;
beforeEach(() => {
  ledger = new RunLedger(new TestStores().open('memory://out/'));
});

/** Label of the item, and ids of the row; null for an image that could not be read. */
type Outcome = readonly [label: string | undefined, ids: readonly number[] | null];

async function commitShard(shard: number, outcomes: readonly Outcome[]): Promise<void> {
  const uri = (index: number) => `memory://dataset/val/${shard}.tar#${index}.png`;
  const items = outcomes.map(([label], index): Item => ({
    uri: uri(index),
    ...(label === undefined ? {} : { label }),
  }));
  const rows = outcomes.flatMap(([, ids], index) => (ids === null ? [] : [row(uri(index), ids)]));
  const encoder = createPartEncoder({ format: 'jsonl', embeddings: false });
  const body = Buffer.concat([encoder.rows(rows), encoder.end()]);
  const key = `parts/${shard}.jsonl`;
  await ledger.store.put(key, body);
  await ledger.createShard({ schema: shardDocument.id, run: RUN.run, shard, items, next: 'end' });
  await ledger.commit({
    schema: commitDocument.id,
    run: RUN.run,
    shard,
    token: 'token00001',
    worker: 'w',
    committedAt: '2026-01-02T03:05:00.000Z',
    part: { key, bytes: body.length, digest: sha256(body), rows: rows.length },
    errors: null,
    items: items.length,
    labelled: rows.length,
    errorsByCode: {},
    bytesRead: 0,
    seconds: 0,
    stages: { fetch: 0, decode: 0, compute: 0, write: 0 },
  });
}

function row(uri: string, ids: readonly number[]): ResultRow {
  return {
    uri,
    digest: 'sha256:33',
    width: 1,
    height: 1,
    ids: [...ids],
    labels: ids.map((id) => RUN.model.labels[id] ?? ''),
    scores: [0.75, 0.1875, 0.0625],
    model: RUN.model.digest,
  };
}

describe('finishEvaluate', () => {
  it('compares rows with the labels of their items, over all shards', async () => {
    await commitShard(0, [
      ['cat', [0, 1, 2]],
      ['cat', [1, 0, 2]],
      ['dog', null],
    ]);
    await commitShard(1, [
      ['bird', [2, 0, 1]],
      ['dog', [1, 2, 0]],
    ]);
    const evaluation = await finishEvaluate(ledger, RUN);
    expect(evaluation).toMatchObject({
      run: RUN.run,
      model: RUN.model.uri,
      dataset: 'memory://dataset/',
      split: 'val',
      crops: 1,
      items: 4,
      unreadable: 1,
      unknownLabel: 0,
      top1Error: 0.25,
      top5Error: 0,
      confusion: [
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
      perClass: [
        { label: 'cat', items: 2, accuracy: 0.5 },
        { label: 'dog', items: 1, accuracy: 1 },
        { label: 'bird', items: 1, accuracy: 1 },
      ],
      calibrationError: 0,
    });
    const written = JSON.parse(Buffer.from(await ledger.store.get('evaluation.json')).toString()) as unknown;
    expect(written).toEqual(evaluation);
    expect((await sharp(await ledger.store.get('confusion.png')).metadata()).format).toBe('png');
  });

  it('counts a class that the model does not have, and an item without a label, as wrong', async () => {
    await commitShard(0, [
      ['emu', [0, 1, 2]],
      [undefined, [0, 1, 2]],
      ['cat', [0, 1, 2]],
    ]);
    const { items, unknownLabel, top1Error, confusion } = await finishEvaluate(ledger, RUN);
    expect([items, unknownLabel, top1Error]).toEqual([3, 2, 2 / 3]);
    expect(confusion?.flat().reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  it('writes the same again', async () => {
    await commitShard(0, [['cat', [0, 1, 2]]]);
    await finishEvaluate(ledger, RUN);
    const read = () => Promise.all(['evaluation.json', 'confusion.png'].map((key) => ledger.store.get(key)));
    const before = await read();
    await finishEvaluate(ledger, RUN);
    expect(await read()).toEqual(before);
  });

  it('has no figures where no image could be read', async () => {
    await commitShard(0, [['cat', null]]);
    const evaluation = await finishEvaluate(ledger, RUN);
    expect(evaluation).toMatchObject({ items: 0, unreadable: 1, top1Error: null, calibrationError: null });
  });

  it('refuses a part with a row that is not of the shard', async () => {
    await commitShard(0, [['cat', [0, 1, 2]]]);
    const encoder = createPartEncoder({ format: 'jsonl', embeddings: false });
    const foreign = encoder.rows([row('memory://elsewhere/1.png', [0, 1, 2])]);
    await ledger.store.put('parts/0.jsonl', Buffer.concat([foreign, encoder.end()]));
    const error = await errorOf(finishEvaluate(ledger, RUN));
    expect([error.code, error.message]).toEqual([
      'CONTRACT_INVALID',
      'parts/0.jsonl: expected items of the shard, got memory://elsewhere/1.png',
    ]);
  });
});
