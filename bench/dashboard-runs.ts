/** An index of many runs, with real ledgers in files, and one run with very many shards. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { commitDocument, failureDocument, planDocument, summaryDocument } from '../src/contract/ledger.ts';
import { modelCard, TORCHVISION_PREPROCESSING } from '../src/contract/model-card.ts';
import { runDocument, runIndexEntry, type LabelRun } from '../src/contract/run.ts';
import { createPartEncoder } from '../src/pipeline/sink/create-part-encoder.ts';
import type { StoreResolver } from '../src/storage/object-store.ts';
import type { RunIndex } from '../src/storage/run-index.ts';
import { RunLedger } from '../src/storage/run-ledger.ts';

const ITEMS_PER_SHARD = 100;
const WRITES_IN_FLIGHT = 64;
const DIGEST = `sha256:${'0'.repeat(64)}`;
const CREATED_AT_MS = Date.parse('2026-01-01T00:00:00Z');
const STATES = ['done', 'done', 'done', 'failed', 'cancelled', 'running'] as const;
type State = (typeof STATES)[number];

const idOf = (number: number) => `r-${String(number).padStart(26, '0')}`;

/** Number of live runs: they are read again and again, so an index has few of them. */
const LIVE_RUNS = 20;

export interface WrittenRuns {
  /** The run with very many shards. */
  readonly large: string;
}

/** Writes everything below `folder`, which is emptied before. */
export async function writeRuns(
  folder: string,
  {
    resolver,
    index,
    runs,
    shards,
  }: { resolver: StoreResolver; index: RunIndex; runs: number; shards: number },
): Promise<WrittenRuns> {
  await rm(folder, { recursive: true, force: true });
  await inFlight(runs, (number) => {
    const state = number >= runs - LIVE_RUNS ? 'running' : (STATES[number % (STATES.length - 1)] ?? 'done');
    return writeRun(
      { folder, number, state, shards: 4, committed: state === 'failed' ? 2 : 0 },
      resolver,
      index,
    );
  });
  await writeRun({ folder, number: runs, state: 'running', shards, committed: shards }, resolver, index);
  return { large: idOf(runs) };
}

interface Story {
  readonly folder: string;
  readonly number: number;
  readonly state: State;
  readonly shards: number;
  readonly committed: number;
}

async function writeRun(story: Story, resolver: StoreResolver, index: RunIndex): Promise<void> {
  const { number, state, shards } = story;
  const run = documentOf(number);
  const ledger = new RunLedger(resolver.open(join(story.folder, String(number))));
  const { createdAt } = run;
  const entry = {
    run: run.run,
    kind: 'classify',
    out: ledger.out,
    source: run.spec.source.uri,
    createdAt,
  } as const;
  await index.add({ schema: runIndexEntry.id, ...entry, submittedBy: 'bench@mill' });
  await ledger.createRun(run);
  const items = shards * ITEMS_PER_SHARD;
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards, items });
  await inFlight(story.committed, (shard) => writeCommit(ledger, run, shard));
  if (story.committed > 0) await writePart(ledger, run);
  if (state === 'cancelled') await ledger.cancel(run.run, new Date(CREATED_AT_MS));
  if (state === 'failed') {
    const told = { code: 'SHARDS_FAILED', message: '2 of 4 shards have no result', shards: [] };
    await ledger.writeFailure({ schema: failureDocument.id, run: run.run, failedAt: createdAt, ...told });
  }
  if (state !== 'done') return;
  await ledger.createSummary({
    schema: summaryDocument.id,
    run: run.run,
    items,
    labelled: items - 1,
    errors: 1,
    errorsByCode: { IMAGE_TRUNCATED: 1 },
    shards,
    bytesRead: items,
    startedAt: createdAt,
    finishedAt: createdAt,
    seconds: 1,
    imagesPerSecond: items,
    stages: { fetch: 1, decode: 1, compute: 1, write: 1 },
  });
}

const PART_KEY = 'parts/every-shard.jsonl';

/** One part serves every shard: what is measured is how it is found and read. */
async function writePart(ledger: RunLedger, { spec, model }: LabelRun): Promise<void> {
  const encoder = createPartEncoder({ format: spec.format, embeddings: false });
  const rows = Array.from({ length: ITEMS_PER_SHARD }, (_, index) => ({
    uri: `${spec.source.uri}photo-${index}.jpg`,
    digest: DIGEST,
    width: 500,
    height: 375,
    ids: [1, 2, 3, 4, 5],
    labels: ['goldfish', 'great white shark', 'tiger shark', 'hammerhead', 'electric ray'],
    scores: [0.5, 0.2, 0.1, 0.1, 0.05],
    model: model.digest,
  }));
  await ledger.store.put(PART_KEY, Buffer.concat([encoder.rows(rows), encoder.end()]));
}

async function writeCommit(ledger: RunLedger, { run, createdAt }: LabelRun, shard: number): Promise<void> {
  await ledger.commit({
    schema: commitDocument.id,
    run,
    shard,
    token: 'token00000',
    worker: 'bench-1',
    committedAt: createdAt,
    part: { key: PART_KEY, bytes: 1, digest: DIGEST, rows: ITEMS_PER_SHARD },
    errors: null,
    items: ITEMS_PER_SHARD,
    labelled: ITEMS_PER_SHARD,
    errorsByCode: {},
    bytesRead: 1,
    seconds: 1,
    stages: { fetch: 1, decode: 1, compute: 1, write: 1 },
  });
}

function documentOf(number: number): LabelRun {
  return {
    schema: runDocument.id,
    run: idOf(number),
    createdAt: new Date(CREATED_AT_MS + number * 1_000).toISOString(),
    specDigest: DIGEST,
    spec: {
      kind: 'classify',
      source: { uri: `s3://collections/photos-${number % 100}/`, include: [], exclude: [] },
      model: { uri: 's3://models/alexnet.safetensors', digest: DIGEST },
      topK: 5,
      crops: 1,
      shardSize: ITEMS_PER_SHARD,
      batchSize: 64,
      format: 'jsonl',
      embeddings: false,
    },
    model: {
      schema: modelCard.id,
      uri: 's3://models/alexnet.safetensors',
      digest: DIGEST,
      format: 'safetensors',
      architecture: 'alexnet-owt',
      classes: 1_000,
      parameters: 61_100_840,
      labels: Array.from({ length: 1_000 }, (_, id) => `label ${id}`),
      labelsFrom: 'model',
      preprocessing: TORCHVISION_PREPROCESSING,
      scores: 'logits',
      embeddingSize: 4_096,
    },
    fencing: 'conditional-put',
    versions: { imagemill: '0', node: process.versions.node },
  };
}

async function inFlight(count: number, work: (number: number) => Promise<void>): Promise<void> {
  for (let start = 0; start < count; start += WRITES_IN_FLIGHT) {
    const size = Math.min(WRITES_IN_FLIGHT, count - start);
    await Promise.all(Array.from({ length: size }, (_, offset) => work(start + offset)));
  }
}
