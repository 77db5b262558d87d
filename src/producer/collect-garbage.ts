import { isPrepareRun, isTrainRun, type Run } from '../contract/run.ts';
import { preparedShardDocument, type Commit } from '../contract/ledger.ts';
import { SPLITS } from '../contract/dataset.ts';
import { nestedLedgers } from '../storage/generations.ts';
import type { ObjectInfo, StoreResolver } from '../storage/object-store.ts';
import { PROBE_PREFIX } from '../storage/probe.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { TrainingLedger } from '../storage/training-ledger.ts';

/** Where attempts write: nothing else is ever removed. */
const ATTEMPT_PREFIXES = ['parts/', 'errors/', 'train/', 'val/', 'checkpoints/', 'metrics/', PROBE_PREFIX];
const ATTEMPT_KEY = /^[a-z]+\/(\d{6,8})[.-]/;

const MS_PER_HOUR = 3_600_000;

export interface GarbageOptions {
  /** Objects of shards and epochs that are not committed yet may belong to an attempt in progress: they stay so long. */
  readonly graceHours: number;
  /** Only counts. */
  readonly dryRun: boolean;
  readonly now?: Date;
}

export interface Garbage {
  readonly objects: number;
  readonly bytes: number;
  /** Temporary files and multipart uploads that were never completed; 0 in a dry run, which cannot see them. */
  readonly unfinished: number;
}

/** What commits name, and for which shards or epochs there are any. */
interface Committed {
  readonly keys: ReadonlySet<string>;
  /** Shards of a sharded run, epochs of a training run. */
  readonly places: ReadonlySet<number>;
}

/**
 * Removes what attempts of a run and of its generations left behind and no commit names: parts of workers that died,
 * stalled, or lost a race. An attempt that still works on a committed shard loses its race anyway and removes what it
 * wrote itself. Memory grows by some 200 bytes for each shard.
 * @throws ImagemillError STORE_*, CONTRACT_*
 */
export async function collectGarbage(
  ledger: RunLedger,
  resolver: StoreResolver,
  options: GarbageOptions,
): Promise<Garbage> {
  const now = options.now ?? new Date();
  const before = new Date(now.getTime() - options.graceHours * MS_PER_HOUR);
  let [objects, bytes, isAllDone] = [0, 0, true];
  for await (const place of ledgersOf(ledger, resolver)) {
    const isDone = (await place.state()) === 'done';
    isAllDone &&= isDone;
    for await (const garbage of garbageOf(place, isDone ? null : before)) {
      if (!options.dryRun) await Promise.all(garbage.map(({ key }) => place.store.delete(key)));
      objects += garbage.length;
      bytes += garbage.reduce((sum, object) => sum + object.bytes, 0);
    }
  }
  const unfinished = options.dryRun ? 0 : await ledger.store.discardUnfinished(isAllDone ? now : before);
  return { objects, bytes, unfinished };
}

async function* ledgersOf(ledger: RunLedger, resolver: StoreResolver): AsyncGenerator<RunLedger> {
  yield ledger;
  yield* nestedLedgers(ledger, resolver);
}

async function* garbageOf(ledger: RunLedger, before: Date | null): AsyncGenerator<ObjectInfo[]> {
  const run = await ledger.readRun();
  const committed = isTrainRun(run) ? await committedEpochs(ledger) : await committedShards(ledger, run);
  for (const prefix of ATTEMPT_PREFIXES) {
    for await (const page of ledger.store.list(prefix)) {
      yield page.filter((object) => isGarbage(object, committed, before));
    }
  }
}

/** @param before of uncommitted shards only what is older is garbage; null: whatever its age */
function isGarbage(
  { key, modifiedAt }: ObjectInfo,
  { keys, places }: Committed,
  before: Date | null,
): boolean {
  const isOld = before === null || modifiedAt < before;
  if (key.startsWith(PROBE_PREFIX)) return isOld;
  const place = ATTEMPT_KEY.exec(key)?.[1];
  if (place === undefined || keys.has(key)) return false;
  return isOld || places.has(Number(place));
}

async function committedShards(ledger: RunLedger, run: Run): Promise<Committed> {
  const keys = new Set<string>();
  const places = new Set<number>();
  for await (const commit of ledger.commits()) {
    places.add(commit.shard);
    keys.add(commit.part.key);
    if (commit.errors !== null) keys.add(commit.errors.key);
    if (isPrepareRun(run)) for (const key of await preparedKeys(ledger, commit)) keys.add(key);
  }
  return { keys, places };
}

async function preparedKeys({ store }: RunLedger, { part }: Commit): Promise<string[]> {
  const prepared = preparedShardDocument.decode(await store.get(part.key), store.uriOf(part.key));
  return SPLITS.flatMap((split) => {
    const written = prepared[split];
    return written === null ? [] : [written.tar.key, written.index.key];
  });
}

async function committedEpochs(ledger: RunLedger): Promise<Committed> {
  const training = new TrainingLedger(ledger.store);
  const epochs = await training.epochs();
  const keys = new Set<string>();
  for (const { checkpoint, metrics } of epochs) keys.add(checkpoint.key).add(metrics.key);
  // The epoch in progress has commits within it as well.
  for (let epoch = 1; epoch <= epochs.length + 1; epoch += 1) {
    for (const { checkpoint, metrics } of await training.steps(epoch)) {
      keys.add(metrics.key);
      if (epoch > epochs.length) keys.add(checkpoint.key);
    }
  }
  return { keys, places: new Set(epochs.map(({ epoch }) => epoch)) };
}
