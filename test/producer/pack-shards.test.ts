import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SourceEntry } from '../../src/pipeline/source/source.ts';
import { packShards, type ShardDraft } from '../../src/producer/pack-shards.ts';

const entry = (index: number): SourceEntry => ({
  item: { uri: `file:///${index}.jpg` },
  cursor: String(index),
});

async function* paged(
  entries: readonly SourceEntry[],
  sizes: readonly number[],
): AsyncGenerator<SourceEntry[]> {
  let start = 0;
  for (let page = 0; start < entries.length; page += 1) {
    const size = sizes[page % sizes.length] ?? 1;
    yield entries.slice(start, start + size);
    start += size;
  }
}

async function collect(drafts: AsyncIterable<ShardDraft>): Promise<ShardDraft[]> {
  const all: ShardDraft[] = [];
  for await (const draft of drafts) all.push(draft);
  return all;
}

describe('packShards', () => {
  it('cuts any listing into full shards and a last one, whatever its pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(300),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        async (count, shardSize, pageSizes) => {
          const entries = Array.from({ length: count }, (_, index) => entry(index));
          const drafts = await collect(packShards(paged(entries, pageSizes), shardSize));
          expect(drafts.flatMap(({ items }) => items)).toEqual(entries.map(({ item }) => item));
          expect(drafts.slice(0, -1).every(({ items }) => items.length === shardSize)).toBe(true);
          for (const { items, next } of drafts) expect(`file:///${next}.jpg`).toBe(items.at(-1)?.uri);
        },
      ),
    );
  });

  it('makes no shard of nothing', async () => {
    expect(await collect(packShards(paged([], [1]), 10))).toEqual([]);
  });
});
