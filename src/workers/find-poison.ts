/** Whether an attempt came to an end, or took its process down and how. */
export type ProbeOutcome = { readonly survived: true } | { readonly survived: false; readonly how: string };

/** Tries the items from `start` up to, and without, `end`; those of an empty range are one harmless image. */
export type Probe = (start: number, end: number) => Promise<ProbeOutcome>;

export interface Poison {
  /** Place of the item in its shard. */
  readonly index: number;
  /** How the process ended. */
  readonly how: string;
}

/**
 * Finds the items that take a process down, by halving a range that does so until each stands alone: about
 * 2·log₂(items) probes for one item. Before an item is condemned the probe must survive a harmless image: where it
 * does not, the machine is ill and not the item.
 * A range that is deadly while both its halves are not has no poison in it; its items are innocent.
 * @param items number of items of a shard whose attempt did not survive
 * @returns in ascending order; null where the machine is ill
 */
export async function findPoison(items: number, probe: Probe): Promise<Poison[] | null> {
  if (!(await probe(0, 0)).survived) return null;
  const poison: Poison[] = [];
  // Ranges that have not been probed yet, the first one last.
  const untried: [start: number, end: number][] = halvesOf(0, items);
  for (let range = untried.pop(); range !== undefined; range = untried.pop()) {
    const [start, end] = range;
    const outcome = await probe(start, end);
    if (outcome.survived) continue;
    if (end - start > 1) {
      untried.push(...halvesOf(start, end));
      continue;
    }
    if (!(await probe(0, 0)).survived) return null;
    poison.push({ index: start, how: outcome.how });
  }
  return poison;
}

/** The later half first; a single item is its own only half. */
function halvesOf(start: number, end: number): [start: number, end: number][] {
  if (end - start <= 1) return [[start, end]];
  const middle = Math.ceil((start + end) / 2);
  return [
    [middle, end],
    [start, middle],
  ];
}
