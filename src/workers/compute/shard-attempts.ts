import { ImagemillError } from '../../contract/errors.ts';
import type { ShardProgress } from '../../contract/jobs.ts';
import type { Part } from '../../contract/ledger.ts';
import { isLabelRun, isPrepareRun, type Run, type ShardedRun } from '../../contract/run.ts';
import type { Semaphore } from '../../pipeline/batch/semaphore.ts';
import { classifyShard } from '../../pipeline/classify-shard.ts';
import type { Decoder } from '../../pipeline/decode/decoder.ts';
import type { ImagePreparer } from '../../pipeline/decode/prepare-image.ts';
import { prepareShard } from '../../pipeline/prepare-shard.ts';
import { createItemReader, type ItemReader } from '../../pipeline/source/item-reader.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import type { RunCache } from '../run-cache.ts';
import type { LoadedModels } from './loaded-models.ts';
import type { FromCompute, ShardTask } from './protocol.ts';
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

/** Labels one shard. */
export async function classifyAttempt(
  task: ShardTask,
  signal: AbortSignal,
  resources: ShardResources,
): Promise<Part> {
  const { run, ledger } = await resources.runs.open(task.out);
  if (!isLabelRun(run)) throw wrongRun(run, 'that labels images');
  const shard = await ledger.readShard(task.shard);
  const onProgress = progressOf(task, resources);
  const { decoder, fetches } = resources;
  const reader = readerOf(run, resources);
  return resources.models.use(
    run,
    () => onProgress({ items: 0, errors: 0 }),
    (model) =>
      classifyShard(
        { run, shard, token: task.token, out: ledger.store, signal, onProgress },
        { ...model, reader, decoder, fetches },
      ),
  );
}

/** Prepares one shard of a dataset. */
export async function prepareAttempt(
  task: ShardTask,
  signal: AbortSignal,
  resources: ShardResources,
): Promise<Part> {
  const { run, ledger } = await resources.runs.open(task.out);
  if (!isPrepareRun(run)) throw wrongRun(run, 'that prepares a dataset');
  const shard = await ledger.readShard(task.shard);
  const { preparer, fetches } = resources;
  return prepareShard(
    { run, shard, token: task.token, out: ledger.store, signal, onProgress: progressOf(task, resources) },
    { reader: readerOf(run, resources), preparer, fetches },
  );
}

function readerOf(run: ShardedRun, { resolver, maxImageBytes }: ShardResources): ItemReader {
  // Whoever submitted a local folder meant this machine's files; a manifest elsewhere must not reach for them.
  const allowFile = run.spec.source.uri.startsWith('file:');
  return createItemReader(resolver, { maxBytes: maxImageBytes }, { allowFile });
}

function progressOf({ token }: ShardTask, { send }: ShardResources): (progress: ShardProgress) => void {
  return throttled(({ items, errors }) => send({ type: 'progress', token, progress: { items, errors } }));
}

function wrongRun({ run, spec }: Run, expected: string): ImagemillError {
  return new ImagemillError(
    'CONTRACT_INVALID',
    `run ${run}: expected a run ${expected}, got a ${spec.kind} run`,
  );
}
