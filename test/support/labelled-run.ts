import type { Item } from '../../src/contract/item.ts';
import {
  commitDocument,
  planDocument,
  shardDocument,
  type Shard,
  type WrittenObject,
} from '../../src/contract/ledger.ts';
import type { ResultRow } from '../../src/contract/rows.ts';
import type { LabelRun } from '../../src/contract/run.ts';
import { LabelTally } from '../../src/pipeline/label-tally.ts';
import { createPartEncoder } from '../../src/pipeline/sink/create-part-encoder.ts';
import { encodeErrorRows } from '../../src/pipeline/sink/error-rows.ts';
import { ledgerKeys } from '../../src/storage/ledger-keys.ts';
import type { RunLedger } from '../../src/storage/run-ledger.ts';
import { summarise } from '../../src/storage/summarise-run.ts';

type Fails = (item: Item) => boolean;

/** Labels a shard as a worker would, but for the images: those that `fails` says become error rows. */
export async function labelShard(
  ledger: RunLedger,
  run: LabelRun,
  { shard, items }: Shard,
  fails: Fails,
  token = 'token00000',
): Promise<void> {
  const { format, batchSize } = run.spec;
  const failed = items.filter(fails);
  const labelled = items.filter((item) => !failed.includes(item));
  const tally = new LabelTally();
  for (const item of labelled) tally.add(items.indexOf(item), rowOf(item, run));
  const encoder = createPartEncoder({ format, embeddings: false });
  const bytes = Buffer.concat([encoder.rows(labelled.map((item) => rowOf(item, run))), encoder.end()]);
  const part = await write(ledger, ledgerKeys.part(shard, token, format), bytes, labelled.length);
  let errors: WrittenObject | null = null;
  if (failed.length > 0) {
    const rows = [];
    for (let start = 0; start < items.length; start += batchSize) {
      const batch = items.slice(start, start + batchSize).filter((item) => failed.includes(item));
      // As a worker orders them: by uri within a batch.
      for (const { uri } of batch.sort((a, b) => (a.uri < b.uri ? -1 : 1))) {
        rows.push({ uri, code: 'IMAGE_EMPTY' as const, message: 'expected an image, got zero bytes' });
      }
    }
    errors = await write(ledger, ledgerKeys.errors(shard, token), encodeErrorRows(rows), rows.length);
  }
  await ledger.commit({
    schema: commitDocument.id,
    run: run.run,
    shard,
    token,
    worker: 'w',
    committedAt: '2026-01-02T03:04:06.000Z',
    part,
    errors,
    items: items.length,
    labelled: labelled.length,
    errorsByCode: failed.length === 0 ? {} : { IMAGE_EMPTY: failed.length },
    bytesRead: 1,
    seconds: 1,
    stages: { fetch: 0, decode: 0, compute: 0, write: 0 },
    labels: tally.statistics(),
  });
}

/** The ledger of a run that is done. */
export async function writeDoneRun(
  ledger: RunLedger,
  run: LabelRun,
  items: readonly Item[],
  fails: Fails,
): Promise<void> {
  await ledger.createRun(run);
  const shards: Shard[] = [];
  for (let start = 0; start < items.length; start += run.spec.shardSize) {
    shards.push({
      schema: shardDocument.id,
      run: run.run,
      shard: shards.length,
      items: items.slice(start, start + run.spec.shardSize),
      next: String(start + run.spec.shardSize),
    });
  }
  for (const shard of shards) {
    await ledger.createShard(shard);
    await labelShard(ledger, run, shard, fails);
  }
  const [count, total] = [shards.length, items.length];
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards: count, items: total });
  await ledger.createSummary(await summarise(ledger, run));
}

async function write(ledger: RunLedger, key: string, body: Uint8Array, rows: number): Promise<WrittenObject> {
  await ledger.store.put(key, body);
  return { key, bytes: body.length, digest: 'sha256:00', rows };
}

function rowOf({ uri }: Item, { model }: LabelRun): ResultRow {
  const { digest } = model;
  return { uri, digest, width: 1, height: 1, ids: [0], labels: ['cat'], scores: [1], model: digest };
}
