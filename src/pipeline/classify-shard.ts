import type { Item } from '../contract/item.ts';
import type { Part, Shard } from '../contract/ledger.ts';
import type { ErrorRow, ResultRow } from '../contract/rows.ts';
import type { LabelRun } from '../contract/run.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { fillSlab, type FilledBatch } from './batch/fill-slab.ts';
import { mapAhead } from './batch/map-ahead.ts';
import { StageClock } from './batch/stage-clock.ts';
import { BATCHES_AHEAD, type ClassifyResources } from './classify-resources.ts';
import type { Classification } from './engine/engine.ts';
import { LabelTally } from './label-tally.ts';
import { createPartEncoder } from './sink/create-part-encoder.ts';
import { encodeErrorRows } from './sink/error-rows.ts';
import { writeObject, type WrittenObject } from './sink/write-object.ts';

export interface ClassifyTask {
  readonly run: LabelRun;
  readonly shard: Shard;
  /** Names the attempt; part of every key it writes. */
  readonly token: string;
  /** The run's directory. */
  readonly out: ObjectStore;
  readonly signal: AbortSignal;
  /** Called after every fetched or labelled image; cheap, may be called thousands of times a second. */
  onProgress(progress: { readonly items: number; readonly errors: number }): void;
}

/**
 * Labels one shard: source ▸ decode ▸ batch ▸ engine ▸ sink, overlapped, with bounded queues between them.
 * Deterministic: batches hold the same items in the same slots in every attempt, so a retry gives the same bytes.
 * @returns what was written; it counts only once it is committed
 * @throws ImagemillError where the whole attempt failed (store, engine, abort); a bad image is an error row
 */
export async function classifyShard(task: ClassifyTask, resources: ClassifyResources): Promise<Part> {
  const { graph, slabs } = resources;
  const { items } = task.shard;
  const clock = new StageClock();
  const errors: ErrorRow[] = [];
  const tally = new LabelTally();
  let done = 0;
  const report = (labelled: number) => {
    done += labelled;
    task.onProgress({ items: done, errors: errors.length });
  };

  const filled = mapAhead(
    chunked(items, graph.batchSize),
    BATCHES_AHEAD,
    (batch) => fillSlab(batch, resources, { clock, signal: task.signal, onStep: () => report(0) }),
    ({ slab }) => slabs.release(slab),
  );
  const labelled = mapAhead(filled, 1, async (batch) => {
    task.signal.throwIfAborted();
    const rows: ResultRow[] = [];
    // One batch at a time and in order: so many items as are done lie before this one's.
    for (const { slot, row } of await labelBatch(batch, task.run, resources, clock)) {
      tally.add(done + slot, row);
      rows.push(row);
    }
    errors.push(...batch.errors);
    report(batch.items.length);
    return rows;
  });

  const { spec } = task.run;
  const encoder = createPartEncoder({ format: spec.format, embeddings: spec.embeddings });
  const part = await writeObject(
    task.out,
    ledgerKeys.part(task.shard.shard, task.token, spec.format),
    (async function* () {
      for await (const rows of labelled) yield { bytes: encoder.rows(rows), rows: rows.length };
      yield { bytes: encoder.end(), rows: 0 };
    })(),
    clock,
    task.signal,
  );
  const errorKey = ledgerKeys.errors(task.shard.shard, task.token);
  const written = errors.length === 0 ? null : await writeErrors(task, errorKey, errors, clock);
  return {
    part,
    errors: written,
    items: items.length,
    labelled: part.rows,
    errorsByCode: countCodes(errors),
    bytesRead: clock.bytesRead,
    seconds: clock.elapsedSeconds(),
    stages: clock.seconds(),
    labels: tally.statistics(),
  };
}

/** A row, and the place of its item in the batch. */
interface SlottedRow {
  readonly slot: number;
  readonly row: ResultRow;
}

async function labelBatch(
  batch: FilledBatch,
  run: LabelRun,
  { device, slabs, graph }: ClassifyResources,
  clock: StageClock,
): Promise<SlottedRow[]> {
  // A batch of nothing but errors needs no device.
  if (batch.errors.length === batch.items.length) {
    slabs.release(batch.slab);
    return [];
  }
  let slab = batch.slab;
  try {
    const result = await device.classify(slab, batch.items.length);
    clock.add('compute', result.computeMs);
    slab = result.slab;
    return toRows(batch, result.classification, run, graph);
  } finally {
    slabs.release(slab);
  }
}

function toRows(
  batch: FilledBatch,
  { ids, scores, embeddings }: Classification,
  run: LabelRun,
  { topK, embeddingSize }: ClassifyResources['graph'],
): SlottedRow[] {
  const rows: SlottedRow[] = [];
  batch.images.forEach((image, slot) => {
    if (image === null) return;
    const best = [...ids.subarray(slot * topK, (slot + 1) * topK)];
    const row = {
      uri: image.uri,
      digest: image.digest,
      width: image.width,
      height: image.height,
      ids: best,
      labels: best.map((id) => run.model.labels[id] ?? String(id)),
      scores: [...scores.subarray(slot * topK, (slot + 1) * topK)],
      model: run.model.digest,
      ...(embeddings === null || embeddingSize === null
        ? {}
        : { embedding: embeddings.subarray(slot * embeddingSize, (slot + 1) * embeddingSize) }),
    };
    rows.push({ slot, row });
  });
  return rows;
}

function writeErrors(
  task: ClassifyTask,
  key: string,
  errors: readonly ErrorRow[],
  clock: StageClock,
): Promise<WrittenObject> {
  const chunks = (async function* () {
    yield { bytes: encodeErrorRows(errors), rows: errors.length };
  })();
  return writeObject(task.out, key, chunks, clock, task.signal);
}

function countCodes(errors: readonly ErrorRow[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { code } of errors) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

function* chunked(items: readonly Item[], size: number): Iterable<readonly Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
