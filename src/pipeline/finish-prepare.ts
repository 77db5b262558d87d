import {
  datasetDocument,
  duplicateSchema,
  SPLITS,
  type Dataset,
  type DatasetIndex,
  type Duplicate,
  type Split,
} from '../contract/dataset.ts';
import { ImagemillError } from '../contract/errors.ts';
import { preparedShardDocument, type Commit, type PreparedShard, type Shard } from '../contract/ledger.ts';
import type { PrepareRun } from '../contract/run.ts';
import { sha256 } from '../storage/digest.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { mapAhead } from './batch/map-ahead.ts';
import { digestOfDataset } from './dataset/dataset-facts.ts';
import { readIndex } from './dataset/read-index.ts';
import { ShardMerger } from './prepare/merge-shards.ts';
import { refuseUntrainableClasses } from './prepare/refuse-classes.ts';
import { RepeatedDigests } from './prepare/repeated-digests.ts';
import { byCodePoint } from './prepare/text-order.ts';

/** Shards whose documents are read at a time. */
const SHARDS_AHEAD = 8;

interface CommittedShard {
  readonly commit: Commit;
  readonly prepared: PreparedShard;
  readonly indexes: Readonly<Record<Split, DatasetIndex | null>>;
}

/**
 * Makes a dataset of a prepare run whose shards are all committed: merges what the shards found, lists contents that
 * occur more than once, and writes `dataset.json`. Memory grows by some 12 bytes for an image, and by the URIs of
 * duplicates. Doing it again finds the dataset that is there; the same commits give the same bytes.
 * @throws ImagemillError DATASET_CLASSES, DATASET_CHANGED, CONTRACT_*, INTERNAL where a shard has no commit
 */
export async function finishPrepare(ledger: RunLedger, run: PrepareRun): Promise<Dataset> {
  const earlier = await findDataset(ledger.store);
  if (earlier !== null) return earlier;
  const merger = new ShardMerger();
  const digests = new RepeatedDigests();
  let [shards, errors] = [0, 0];
  let createdAt = run.createdAt;
  for await (const shard of committedShards(ledger)) {
    merger.add(shard.prepared, shard.indexes);
    for (const split of SPLITS) shard.indexes[split]?.digests.forEach((digest) => digests.add(digest));
    shards += 1;
    errors += shard.commit.items - shard.commit.labelled;
    if (shard.commit.committedAt > createdAt) createdAt = shard.commit.committedAt;
  }
  const planned = (await ledger.findPlan())?.shards;
  if (shards !== planned) {
    throw new ImagemillError(
      'INTERNAL',
      `run ${run.run}: expected a commit for each of ${planned ?? 'the planned'} shards, got ${shards}`,
    );
  }
  await refuseUntrainableClasses(merger.classes(), run.spec.source.uri, () => plannedShards(ledger));

  const { spec } = run;
  const dataset = {
    schema: datasetDocument.id,
    run: run.run,
    createdAt,
    source: spec.source.uri,
    shortSide: spec.shortSide,
    encoding: spec.encoding,
    valFraction: spec.valFraction,
    seed: spec.seed,
    ...merger.merged(),
    errors,
    duplicates: await writeDuplicates(ledger, await digests.find()),
  };
  const complete: Dataset = { ...dataset, digest: digestOfDataset(dataset) };
  if (await ledger.store.putIfAbsent(ledgerKeys.dataset, datasetDocument.encode(complete))) return complete;
  return (await findDataset(ledger.store)) ?? complete;
}

/** `dataset.json` of a run's directory; null where it has not been written. */
export async function findDataset(store: ObjectStore): Promise<Dataset | null> {
  try {
    const bytes = await store.get(ledgerKeys.dataset);
    return datasetDocument.decode(bytes, store.uriOf(ledgerKeys.dataset));
  } catch (error) {
    if (error instanceof ImagemillError && error.code === 'OBJECT_NOT_FOUND') return null;
    throw error;
  }
}

function committedShards(ledger: RunLedger): AsyncIterable<CommittedShard> {
  return mapAhead(ledger.commits(), SHARDS_AHEAD, async (commit) => {
    const prepared = await readPrepared(ledger.store, commit);
    const [train, val] = await Promise.all([
      readIndexOf(ledger.store, prepared.train),
      readIndexOf(ledger.store, prepared.val),
    ]);
    return { commit, prepared, indexes: { train, val } };
  });
}

function plannedShards(ledger: RunLedger): AsyncIterable<Shard> {
  return mapAhead(ledger.plannedShards(), SHARDS_AHEAD, (shard) => ledger.readShard(shard));
}

async function readPrepared(store: ObjectStore, { part }: Commit): Promise<PreparedShard> {
  const bytes = await store.get(part.key);
  const digest = sha256(bytes);
  if (digest === part.digest) return preparedShardDocument.decode(bytes, store.uriOf(part.key));
  throw new ImagemillError(
    'DATASET_CHANGED',
    `${store.uriOf(part.key)}: expected the digest ${part.digest}, got ${digest}`,
  );
}

async function readIndexOf(store: ObjectStore, split: PreparedShard[Split]): Promise<DatasetIndex | null> {
  if (split === null) return null;
  return readIndex(store, {
    tar: split.tar.key,
    index: split.index.key,
    indexDigest: split.index.digest,
    items: split.items,
    bytes: split.tar.bytes,
    digest: split.tar.digest,
  });
}

/** Writes `duplicates.jsonl` where there are any, in the order of their digests. */
async function writeDuplicates(
  ledger: RunLedger,
  repeated: { readonly size: number; has(digest: string): boolean },
): Promise<Dataset['duplicates']> {
  const duplicates = repeated.size === 0 ? [] : await readDuplicates(ledger, repeated);
  if (duplicates.length > 0) {
    const lines = (async function* () {
      for (const duplicate of duplicates) yield Buffer.from(`${JSON.stringify(duplicate)}\n`);
    })();
    await ledger.store.putStream(ledgerKeys.duplicates, lines);
  }
  return {
    contents: duplicates.length,
    items: duplicates.reduce((sum, { uris }) => sum + uris.length, 0),
    conflictingLabels: duplicates.filter(({ labels }) => labels.length > 1).length,
  };
}

/** Reads the indexes a second time: only now it is known which of their entries are wanted. */
async function readDuplicates(
  ledger: RunLedger,
  repeated: { has(digest: string): boolean },
): Promise<Duplicate[]> {
  const found = new Map<string, { labels: Set<string>; uris: string[] }>();
  for await (const { indexes } of committedShards(ledger)) {
    for (const index of [indexes.train, indexes.val]) {
      index?.digests.forEach((digest, item) => {
        if (!repeated.has(digest)) return;
        const entry = found.get(digest) ?? { labels: new Set(), uris: [] };
        found.set(digest, entry);
        entry.labels.add(index.labels[index.classes[item] ?? 0] ?? '');
        entry.uris.push(index.uris[item] ?? '');
      });
    }
  }
  return [...found]
    .filter(([, { uris }]) => uris.length > 1)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([digest, { labels, uris }]) =>
      duplicateSchema.parse({ digest, labels: [...labels].sort(byCodePoint), uris }),
    );
}
