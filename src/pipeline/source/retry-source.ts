import { z } from 'zod';
import type { Item } from '../../contract/item.ts';
import type { Commit, Shard } from '../../contract/ledger.ts';
import type { PartFormat } from '../../contract/rows.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';
import { wellFormed } from '../sink/canonical-row.ts';
import { readErrors } from '../sink/error-rows.ts';
import { readPart } from '../sink/read-part.ts';
import { parseCursor } from './listing.ts';
import type { Source } from './source.ts';

/** The shard, and how many of its error items were listed. */
const cursorSchema = z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]);

/**
 * Lists the items of a finished run that became error rows, in the order of its shards: one item for each row.
 * The ledger of a finished run does not change, so that every listing is the same.
 */
export function retrySource(ledger: RunLedger, format: PartFormat): Source {
  return {
    async *list(cursor, signal) {
      const [first, listed] = cursor === undefined ? [0, 0] : parseCursor(cursorSchema, cursor);
      for await (const commit of ledger.commits(first)) {
        signal?.throwIfAborted();
        const items = await errorItems(ledger, commit, format);
        const page = items
          .map((item, index) => ({ item, cursor: JSON.stringify([commit.shard, index + 1]) }))
          .slice(commit.shard === first ? listed : 0);
        if (page.length > 0) yield page;
      }
    },
  };
}

async function errorItems(ledger: RunLedger, commit: Commit, format: PartFormat): Promise<Item[]> {
  if (commit.errors === null) return [];
  const failures = new Map<string, number>();
  const { key } = commit.errors;
  for await (const rows of readErrors(await ledger.store.get(key), ledger.store.uriOf(key))) {
    for (const { uri } of rows) failures.set(uri, (failures.get(uri) ?? 0) + 1);
  }
  const shard = await ledger.readShard(commit.shard);
  const candidates = shard.items.filter(({ uri }) => failures.has(wellFormed(uri)));
  const failed = isAmbiguous(candidates, failures)
    ? await itemsWithoutRow(ledger, commit, shard, format)
    : new Set<Item>();
  // Those that are known to have failed come first; among the others, one is as good as the other.
  const chosen = new Set<Item>();
  for (const item of [...failed, ...candidates]) {
    const left = failures.get(wellFormed(item.uri)) ?? 0;
    if (left === 0 || chosen.has(item)) continue;
    failures.set(wellFormed(item.uri), left - 1);
    chosen.add(item);
  }
  return candidates.filter((item) => chosen.has(item)).map(withoutSize);
}

/** Whether of items with one uri and different bytes (a tar may hold a member twice) some failed and some did not. */
function isAmbiguous(candidates: readonly Item[], failures: ReadonlyMap<string, number>): boolean {
  const groups = new Map<string, Item[]>();
  for (const item of candidates) {
    const group = groups.get(wellFormed(item.uri));
    if (group === undefined) groups.set(wellFormed(item.uri), [item]);
    else group.push(item);
  }
  return [...groups].some(
    ([uri, items]) =>
      items.length !== failures.get(uri) && new Set(items.map(({ within }) => within?.offset)).size > 1,
  );
}

/** A part's rows are in the order of the shard's items: an item that is not the next row's has none. */
async function itemsWithoutRow(
  ledger: RunLedger,
  { part }: Commit,
  { items }: Shard,
  format: PartFormat,
): Promise<Set<Item>> {
  const labelled: string[] = [];
  for await (const rows of readPart(await ledger.store.get(part.key), format, ledger.store.uriOf(part.key))) {
    labelled.push(...rows.map(({ uri }) => uri));
  }
  let next = 0;
  return new Set(
    items.filter(({ uri }) => {
      const hasRow = wellFormed(uri) === labelled[next];
      if (hasRow) next += 1;
      return !hasRow;
    }),
  );
}

/** An object that was repaired has another size than the listing told; inside a tar, the place is all there is. */
function withoutSize({ bytes, ...item }: Item): Item {
  return item.within === undefined || bytes === undefined ? item : { ...item, bytes };
}
