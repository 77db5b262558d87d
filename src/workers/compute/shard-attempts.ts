import { ImageError, ImagemillError } from '../../contract/errors.ts';
import type { ShardProgress } from '../../contract/jobs.ts';
import type { Part, Shard } from '../../contract/ledger.ts';
import { isLabelRun, isPrepareRun, isShardedRun, type Run } from '../../contract/run.ts';
import type { Semaphore } from '../../pipeline/batch/semaphore.ts';
import { classifyShard } from '../../pipeline/classify-shard.ts';
import type { Decoder } from '../../pipeline/decode/decoder.ts';
import type { ImagePreparer } from '../../pipeline/decode/prepare-image.ts';
import { prepareShard } from '../../pipeline/prepare-shard.ts';
import { createRunReader, type ItemReader } from '../../pipeline/source/item-reader.ts';
import { MemoryBucket, MemoryStore } from '../../storage/memory-store.ts';
import type { ObjectStore, StoreResolver } from '../../storage/object-store.ts';
import type { RunCache } from '../run-cache.ts';
import type { LoadedModels } from './loaded-models.ts';
import { HARMLESS_ITEM, HARMLESS_READER } from './harmless-image.ts';
import type { CondemnedItem, FromCompute, ProbeTask, ShardTask } from './protocol.ts';
import { throttled } from './throttle.ts';

/** What the shards of a compute process share. */
export interface ShardResources {
  readonly resolver: StoreResolver;
  readonly runs: RunCache;
  readonly models: LoadedModels;
  readonly decoder: Decoder;
  readonly preparer: ImagePreparer;
  /** Bounds the downloads in progress. */
  readonly fetches: Semaphore;
  readonly maxImageBytes: number;
  readonly send: (message: FromCompute) => void;
}

type ShardWork = ProbeTask['work'];

/** Labels or prepares one shard. */
export async function shardAttempt(
  work: ShardWork,
  task: ShardTask,
  signal: AbortSignal,
  resources: ShardResources,
): Promise<Part> {
  const { run, ledger } = await resources.runs.open(task.out);
  const shard = await ledger.readShard(task.shard);
  const reader = sparingCondemned(readerOf(run, resources), shard, task.condemned);
  return WORKS[work](task.token, run, { shard, reader, out: ledger.store }, signal, resources);
}

/** Finds out whether some items of a shard can be worked on without harm to this process. */
export async function probeAttempt(
  { work, out, shard: index, token, start, end }: ProbeTask,
  signal: AbortSignal,
  resources: ShardResources,
): Promise<null> {
  const { run, ledger } = await resources.runs.open(out);
  const whole = await ledger.readShard(index);
  const items = whole.items.slice(start, end);
  const place = {
    shard: { ...whole, items: items.length > 0 ? items : [HARMLESS_ITEM] },
    reader: items.length > 0 ? readerOf(run, resources) : HARMLESS_READER,
    out: new MemoryStore(new MemoryBucket('probe')),
  };
  await WORKS[work](token, run, place, signal, resources);
  return null;
}

/** What an attempt works on, and where it writes. */
interface Place {
  readonly shard: Shard;
  readonly reader: ItemReader;
  readonly out: ObjectStore;
}

async function classify(
  token: string,
  run: Run,
  { shard, reader, out }: Place,
  signal: AbortSignal,
  resources: ShardResources,
): Promise<Part> {
  if (!isLabelRun(run)) throw wrongRun(run, 'that labels images');
  const onProgress = progressOf(token, resources);
  const { decoder, fetches } = resources;
  return resources.models.use(
    run,
    () => onProgress({ items: 0, errors: 0 }),
    (model) =>
      classifyShard({ run, shard, token, out, signal, onProgress }, { ...model, reader, decoder, fetches }),
  );
}

async function prepare(
  token: string,
  run: Run,
  { shard, reader, out }: Place,
  signal: AbortSignal,
  resources: ShardResources,
): Promise<Part> {
  if (!isPrepareRun(run)) throw wrongRun(run, 'that prepares a dataset');
  const { preparer, fetches } = resources;
  const onProgress = progressOf(token, resources);
  return prepareShard({ run, shard, token, out, signal, onProgress }, { reader, preparer, fetches });
}

const WORKS = { classify, prepare } as const satisfies Record<ShardWork, unknown>;

/** Refuses to read items that were found to take the process down. */
function sparingCondemned(
  reader: ItemReader,
  shard: Shard,
  condemned: readonly CondemnedItem[] = [],
): ItemReader {
  const messages = new Map(condemned.map(({ index, message }) => [shard.items[index], message]));
  return {
    read: async (item, signal) => {
      const message = messages.get(item);
      if (message !== undefined) throw new ImageError('IMAGE_CRASHED', message);
      return reader.read(item, signal);
    },
  };
}

function readerOf(run: Run, { resolver, maxImageBytes }: ShardResources): ItemReader {
  if (!isShardedRun(run)) throw wrongRun(run, 'with shards');
  return createRunReader(run, resolver, { maxBytes: maxImageBytes });
}

function progressOf(token: string, { send }: ShardResources): (progress: ShardProgress) => void {
  return throttled(({ items, errors }) => send({ type: 'progress', token, progress: { items, errors } }));
}

function wrongRun({ run, spec }: Run, expected: string): ImagemillError {
  return new ImagemillError(
    'CONTRACT_INVALID',
    `run ${run}: expected a run ${expected}, got a ${spec.kind} run`,
  );
}
