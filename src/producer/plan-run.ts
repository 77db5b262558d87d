import { ImagemillError } from '../contract/errors.ts';
import { shardDocument, planDocument } from '../contract/ledger.ts';
import { JOBS_PER_BULK } from '../contract/queues.ts';
import type { ShardedRun } from '../contract/run.ts';
import type { Source, SourceCursor } from '../pipeline/source/source.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { packShards, type ShardDraft } from './pack-shards.ts';

/** A planned shard, as its job needs it. */
export interface PlannedShard {
  readonly shard: number;
  /** Number of items. */
  readonly items: number;
}

/** A slow listing hands over what it has after this long, so that workers can begin. */
const CHUNK_MS = 1_000;

/**
 * Plans a run: lists the source, writes the shards that are missing, and at last `plan.json`.
 * Shards are immutable and each says where the listing goes on after it. So a planner that died is continued by the
 * next one without listing again, and two planners at once agree: whoever comes second takes over what is there.
 * @param from index of the first shard to report; those before it were reported by an earlier, interrupted call
 * @returns chunks of at most JOBS_PER_BULK shards in order, those that were there already included
 * @throws ImagemillError SOURCE_EMPTY, and whatever the source or the store throws
 */
export async function* planRun(
  ledger: RunLedger,
  run: ShardedRun,
  source: Source,
  from: number,
  signal?: AbortSignal,
): AsyncGenerator<PlannedShard[]> {
  const { shardSize } = run.spec;
  const existing = await countShards(ledger);
  const last = existing === 0 ? null : await ledger.readShard(existing - 1);
  for (let start = from; start < existing; start += JOBS_PER_BULK) {
    const end = Math.min(start + JOBS_PER_BULK, existing);
    // Only the last shard can be short, so the others need not be read.
    yield range(start, end).map((shard) => ({
      shard,
      items: shard === existing - 1 && last !== null ? last.items.length : shardSize,
    }));
  }
  if ((await ledger.findPlan()) !== null) return;

  let chunk: PlannedShard[] = [];
  let flushAt = Date.now();
  let count = existing;
  let items = last === null ? 0 : (existing - 1) * shardSize + last.items.length;
  // A shorter shard was the end of the listing when it was written; what has been added since is not part of the run.
  const complete = last !== null && last.items.length < shardSize;
  for await (const size of complete ? [] : writeShards(ledger, run, source, existing, last?.next, signal)) {
    if (count >= from) chunk.push({ shard: count, items: size });
    count += 1;
    items += size;
    if (chunk.length === JOBS_PER_BULK || (chunk.length > 0 && Date.now() >= flushAt)) {
      yield chunk;
      chunk = [];
      flushAt = Date.now() + CHUNK_MS;
    }
  }
  if (count === 0) {
    throw new ImagemillError('SOURCE_EMPTY', `expected images at ${run.spec.source.uri}, found none`);
  }
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards: count, items });
  if (chunk.length > 0) yield chunk;
}

/** Writes shards from index `shard` on; yields the number of items of each. */
async function* writeShards(
  ledger: RunLedger,
  run: ShardedRun,
  source: Source,
  shard: number,
  cursor: SourceCursor | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<number> {
  for (;;) {
    let taken: ShardDraft | null = null;
    for await (const draft of packShards(source.list(cursor, signal), run.spec.shardSize)) {
      signal?.throwIfAborted();
      const written = await ledger.createShard({
        schema: shardDocument.id,
        run: run.run,
        shard,
        items: [...draft.items],
        next: draft.next,
      });
      taken = written ? null : await ledger.readShard(shard);
      yield (taken ?? draft).items.length;
      shard += 1;
      if (taken !== null && taken.items.length < run.spec.shardSize) return;
      // Another planner wrote this shard, perhaps from a listing that has changed since: follow its cursor.
      if (taken !== null && taken.next !== draft.next) break;
      taken = null;
    }
    if (taken === null) return;
    cursor = taken.next;
  }
}

/** Shards are written in order, so the highest index tells how many there are. */
async function countShards(ledger: RunLedger): Promise<number> {
  let count = 0;
  for await (const shard of ledger.plannedShards()) count = shard + 1;
  return count;
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, offset) => start + offset);
}
