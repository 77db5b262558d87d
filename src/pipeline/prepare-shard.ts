import { setImmediate } from 'node:timers/promises';
import { SPLITS, type Split } from '../contract/dataset.ts';
import { ImageError } from '../contract/errors.ts';
import type { Item } from '../contract/item.ts';
import { preparedShardDocument, type Part, type PreparedShard, type Shard } from '../contract/ledger.ts';
import type { ErrorRow } from '../contract/rows.ts';
import type { PrepareRun } from '../contract/run.ts';
import { sha256 } from '../storage/digest.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { mapAhead } from './batch/map-ahead.ts';
import type { Semaphore } from './batch/semaphore.ts';
import { StageClock } from './batch/stage-clock.ts';
import type { ImagePreparer } from './decode/prepare-image.ts';
import { classOfItem } from './prepare/class-of-item.ts';
import { PIXELS_PER_CALL, PixelSummer } from './prepare/pixel-sums.ts';
import { SplitShard, type PreparedItem } from './prepare/split-shard.ts';
import { splitOf } from './prepare/split.ts';
import { byCodePoint } from './prepare/text-order.ts';
import { encodeErrorRows } from './sink/error-rows.ts';
import type { WrittenObject } from './sink/write-object.ts';
import type { ItemReader } from './source/item-reader.ts';

/** Images of one shard that are fetched and decoded before their turn; what is held of each is its encoded form. */
const IMAGES_AHEAD = 64;

export interface PrepareTask {
  readonly run: PrepareRun;
  readonly shard: Shard;
  /** Names the attempt; part of the key of everything it writes, but for tars that any attempt would write alike. */
  readonly token: string;
  /** The run's directory, which becomes the dataset. */
  readonly out: ObjectStore;
  readonly signal: AbortSignal;
  /** Called after every fetched or prepared image. */
  onProgress(progress: { readonly items: number; readonly errors: number }): void;
}

/** What a compute process shares between its shards. */
export interface PrepareResources {
  readonly reader: ItemReader;
  readonly preparer: ImagePreparer;
  /** Bounds the downloads in progress. */
  readonly fetches: Semaphore;
  /** Of a tar, which is built in memory; undefined: as many as one can have. */
  readonly maxTarBytes?: number;
}

/** What became of one item. */
type Outcome = {
  /** undefined where that is what is wrong with it */
  readonly className: string | undefined;
} & ({ readonly item: PreparedItem; readonly split: Split } | { readonly error: ErrorRow });

/**
 * Prepares one shard: source ▸ decode ▸ split ▸ tar ▸ sink, overlapped. Memory holds the shard's tars, twice while
 * one is written. Images keep the order of the shard, and a retry gives the same tars.
 * @returns what was written, as a `PreparedShard` document; it counts only once it is committed
 * @throws ImagemillError where the whole attempt failed (store, abort; USAGE where a tar would be larger than 2 GiB);
 *   a bad image is an error row
 */
export async function prepareShard(task: PrepareTask, resources: PrepareResources): Promise<Part> {
  const { run, shard, token } = task;
  const clock = new StageClock();
  const summer = new PixelSummer();
  const errors: ErrorRow[] = [];
  const classes = new Map<string, number>();
  const splits = {
    train: new SplitShard('train', shard.shard, run.spec.encoding, resources.maxTarBytes),
    val: new SplitShard('val', shard.shard, run.spec.encoding, resources.maxTarBytes),
  };
  let done = 0;
  const report = () => task.onProgress({ items: done, errors: errors.length });

  const outcomes = mapAhead(shard.items.entries(), IMAGES_AHEAD, ([position, item]) =>
    prepareItem({ item, position }, task, resources, { clock, summer, onStep: report }),
  );
  for await (const outcome of outcomes) {
    task.signal.throwIfAborted();
    const { className } = outcome;
    const prepared = 'item' in outcome ? 1 : 0;
    if (className !== undefined) classes.set(className, (classes.get(className) ?? 0) + prepared);
    if ('item' in outcome) splits[outcome.split].add(outcome.item);
    else errors.push(outcome.error);
    done += 1;
    report();
  }

  const labelled = splits.train.items + splits.val.items;
  const written = await clock.time('write', async () => {
    const bySplit: Pick<PreparedShard, Split> = { train: null, val: null };
    for (const split of SPLITS) bySplit[split] = await splits[split].write(task.out, token, task.signal);
    const document: PreparedShard = {
      schema: preparedShardDocument.id,
      run: run.run,
      shard: shard.shard,
      ...bySplit,
      sums: summer.sums(),
      classes: [...classes].sort(([a], [b]) => byCodePoint(a, b)).map(([name, items]) => ({ name, items })),
    };
    const errorsKey = ledgerKeys.errors(shard.shard, token);
    return {
      errors:
        errors.length === 0
          ? null
          : await putObject(task.out, errorsKey, encodeErrorRows(errors), errors.length),
      part: await putObject(
        task.out,
        ledgerKeys.part(shard.shard, token, 'json'),
        preparedShardDocument.encode(document),
        labelled,
      ),
    };
  });
  return {
    ...written,
    items: shard.items.length,
    labelled,
    errorsByCode: countCodes(errors),
    bytesRead: clock.bytesRead,
    seconds: clock.elapsedSeconds(),
    stages: clock.seconds(),
  };
}

async function prepareItem(
  { item, position }: { item: Item; position: number },
  { run: { spec }, signal }: PrepareTask,
  { reader, preparer, fetches }: PrepareResources,
  { clock, summer, onStep }: { clock: StageClock; summer: PixelSummer; onStep: () => void },
): Promise<Outcome> {
  let className: string | undefined;
  try {
    signal.throwIfAborted();
    className = classOfItem(item, spec.source.uri);
    const bytes = await fetches.run(() => clock.time('fetch', () => reader.read(item, signal)));
    clock.bytesRead += bytes.length;
    onStep();
    const image = await clock.time('decode', (restart) => preparer.prepare(bytes, spec, restart));
    const digest = sha256(bytes);
    const split = splitOf(digest, spec);
    // Sums are exact, so the order in which images arrive does not show in them.
    if (split === 'train') await clock.time('compute', () => addPixels(summer, image.pixels));
    const { width, height } = image;
    return {
      className,
      split,
      item: { position, uri: item.uri, className, digest, bytes: image.bytes, width, height },
    };
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    return { className, error: { uri: item.uri, code: error.code, message: error.message } };
  }
}

/** A panorama is summed piece by piece, so that the event loop is free between them. */
async function addPixels(summer: PixelSummer, pixels: Uint8Array): Promise<void> {
  const pieceBytes = 3 * PIXELS_PER_CALL;
  for (let start = 0; start < pixels.length; start += pieceBytes) {
    if (start > 0) await setImmediate();
    summer.add(pixels.subarray(start, start + pieceBytes));
  }
}

async function putObject(
  store: ObjectStore,
  key: string,
  body: Uint8Array,
  rows: number,
): Promise<WrittenObject> {
  await store.put(key, body);
  return { key, bytes: body.length, digest: sha256(body), rows };
}

function countCodes(errors: readonly ErrorRow[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { code } of errors) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}
