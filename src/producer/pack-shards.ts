import type { Item } from '../contract/item.ts';
import type { SourceCursor, SourceEntry } from '../pipeline/source/source.ts';

/** The items of one shard, and where the listing goes on after them. */
export interface ShardDraft {
  readonly items: readonly Item[];
  readonly next: SourceCursor;
}

/**
 * Cuts a listing into shards. Pure: the same listing gives the same shards, however it is paged.
 * Every shard holds exactly `shardSize` items, except that the last may hold fewer.
 */
export async function* packShards(
  pages: AsyncIterable<readonly SourceEntry[]>,
  shardSize: number,
): AsyncGenerator<ShardDraft> {
  let items: Item[] = [];
  let next: SourceCursor = '';
  for await (const page of pages) {
    for (const entry of page) {
      items.push(entry.item);
      next = entry.cursor;
      if (items.length === shardSize) {
        yield { items, next };
        items = [];
      }
    }
  }
  if (items.length > 0) yield { items, next };
}
