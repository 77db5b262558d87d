import type { Dataset, Split } from '../../../src/contract/dataset.ts';
import type { Item } from '../../../src/contract/item.ts';
import { commitDocument, planDocument, shardDocument, type Part } from '../../../src/contract/ledger.ts';
import { runDocument, type PrepareRun, type PrepareSpec } from '../../../src/contract/run.ts';
import { Semaphore } from '../../../src/pipeline/batch/semaphore.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import { createImagePreparer } from '../../../src/pipeline/decode/prepare-image.ts';
import { finishPrepare } from '../../../src/pipeline/finish-prepare.ts';
import { prepareShard, type PrepareResources } from '../../../src/pipeline/prepare-shard.ts';
import { splitOf } from '../../../src/pipeline/prepare/split.ts';
import { createItemReader } from '../../../src/pipeline/source/item-reader.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import type { ObjectStore, StoreResolver } from '../../../src/storage/object-store.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { makePng } from '../../support/images.ts';
import type { TestStores } from '../source/support.ts';

export const SOURCE = 'memory://source/';

/** A prepare run as a submit would have written it. */
export function fakePrepareRun(spec: Partial<PrepareSpec> = {}): PrepareRun {
  return {
    schema: runDocument.id,
    run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
    createdAt: '2026-01-02T03:04:05.000Z',
    specDigest: 'sha256:00',
    spec: {
      kind: 'prepare',
      source: { uri: SOURCE, include: [], exclude: [] },
      shardSize: 10,
      shortSide: 16,
      encoding: 'png',
      valFraction: 0.3,
      seed: 0,
      ...spec,
    },
    fencing: 'conditional-put',
    versions: { imagemill: '0.0.0', node: '20.0.0' },
  };
}

/** Small images of their own, by key; the same index gives the same bytes. */
export function image(index: number): Promise<Uint8Array> {
  return makePng({ width: 24 + (index % 5), height: 20 + (index % 3), seed: index + 1 });
}

/** Puts objects into the source. @returns its items, in key order, as a listing gives them */
export function fillSource(stores: TestStores, objects: Readonly<Record<string, Uint8Array>>): Item[] {
  return Object.keys(objects)
    .sort()
    .map((key) => {
      const body = objects[key] ?? new Uint8Array();
      stores.put(SOURCE + key, body);
      return { uri: SOURCE + key, bytes: body.length };
    });
}

/** `count` images each of classes `cat` and `dog`. */
export async function twoClasses(stores: TestStores, count = 12): Promise<Item[]> {
  const objects: Record<string, Uint8Array> = {};
  for (let index = 0; index < count; index++) {
    objects[`cat/${String(index).padStart(3, '0')}.png`] = await image(index);
    objects[`dog/${String(index).padStart(3, '0')}.png`] = await image(1_000 + index);
  }
  return fillSource(stores, objects);
}

export function resourcesOf(resolver: StoreResolver): PrepareResources {
  return {
    reader: createItemReader(resolver, { maxBytes: DEFAULT_DECODE_LIMITS.maxBytes }),
    preparer: createImagePreparer({ limits: DEFAULT_DECODE_LIMITS, concurrency: 2 }),
    fetches: new Semaphore(4),
  };
}

export interface Attempt {
  readonly run: PrepareRun;
  readonly items: readonly Item[];
  readonly out: ObjectStore;
  readonly shard?: number;
  readonly token?: string;
  readonly signal?: AbortSignal;
}

export function attempt(
  stores: TestStores,
  given: Attempt,
  resources: Partial<PrepareResources> = {},
): Promise<Part> {
  const { run, items, out, shard = 0, token = 'token00001' } = given;
  return prepareShard(
    {
      run,
      shard: { schema: shardDocument.id, run: run.run, shard, items: [...items], next: 'end' },
      token,
      out,
      signal: given.signal ?? new AbortController().signal,
      onProgress: () => {},
    },
    { ...resourcesOf(stores), ...resources },
  );
}

/** Plans, prepares and commits a run at `memory://<name>/`, as planner and workers would, without finishing it. */
export async function prepareShards(
  stores: TestStores,
  run: PrepareRun,
  items: readonly Item[],
  name = 'dataset',
): Promise<RunLedger> {
  const ledger = new RunLedger(stores.open(`memory://${name}/`));
  await ledger.createRun(run);
  const { shardSize } = run.spec;
  const shards = Math.ceil(items.length / shardSize);
  for (let shard = 0; shard < shards; shard++) {
    const part = items.slice(shard * shardSize, (shard + 1) * shardSize);
    const token = `token0000${shard}`;
    await ledger.createShard({
      schema: shardDocument.id,
      run: run.run,
      shard,
      items: [...part],
      next: 'end',
    });
    await ledger.commit({
      schema: commitDocument.id,
      run: run.run,
      shard,
      token,
      worker: 'w',
      committedAt: `2026-01-02T03:05:0${shard % 10}.000Z`,
      ...(await attempt(stores, { run, items: part, out: ledger.store, shard, token })),
    });
  }
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards, items: items.length });
  return ledger;
}

export async function prepareDataset(
  stores: TestStores,
  run: PrepareRun,
  items: readonly Item[],
  name = 'dataset',
): Promise<{ ledger: RunLedger; dataset: Dataset }> {
  const ledger = await prepareShards(stores, run, items, name);
  return { ledger, dataset: await finishPrepare(ledger, run) };
}

/** An image that the split of a run puts where it is wanted. */
export async function imageIn(split: Split, spec: PrepareSpec, first = 0): Promise<Uint8Array> {
  for (let index = first; ; index++) {
    const bytes = await image(index);
    if (splitOf(sha256(bytes), spec) === split) return bytes;
  }
}
