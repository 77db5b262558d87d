/** What the labels of a shard or a run look like, small enough to be part of a commit and of a summary. */
import { z } from 'zod';
import { shardIndexSchema } from './ids.ts';

/** Equal parts of the scores' range, 0 to 1. */
export const CONFIDENCE_BINS = 20;
export const LEAST_CONFIDENT_MAX = 12;
/** A longer uri is left out of the statistics; the item's shard has it. */
export const LISTED_URI_CHARS_MAX = 1_024;
/** A longer label is cut. */
export const LISTED_LABEL_CHARS_MAX = 256;

const count = z.number().int().nonnegative();

const leastConfidentItemSchema = z.object({
  /** Place of the item in its shard. */
  index: count,
  /** Absent where it is longer than `LISTED_URI_CHARS_MAX`. */
  uri: z.string().max(LISTED_URI_CHARS_MAX).optional(),
  /** Of the class with the highest score. */
  label: z.string().max(LISTED_LABEL_CHARS_MAX),
  /** Of that class. */
  score: z.number(),
  /** Pixels, after EXIF rotation. */
  width: count,
  height: count,
});
export type LeastConfidentItem = z.infer<typeof leastConfidentItemSchema>;

const distributions = {
  /** Images by the index of the class with the highest score; classes without images are left out. */
  classes: z.record(z.string().regex(/^\d{1,10}$/), z.number().int().positive()),
  /** Images by that score: bin i holds `[i/20, (i+1)/20)`, the last one also 1. */
  confidence: z.array(count).length(CONFIDENCE_BINS),
};

/** Of a shard: part of its commit. */
export const labelStatisticsSchema = z.object({
  ...distributions,
  /** Lowest score first; of equal ones, in the order of the shard. */
  leastConfident: z.array(leastConfidentItemSchema).max(LEAST_CONFIDENT_MAX),
});
export type LabelStatistics = z.infer<typeof labelStatisticsSchema>;

const leastConfidentOfLedger = leastConfidentItemSchema.extend({ shard: shardIndexSchema });

/** Of all shards of a ledger: part of `summary.json`. */
export const ledgerLabelStatisticsSchema = z.object({
  ...distributions,
  /** Lowest score first; of equal ones, in the order of shards and within them. */
  leastConfident: z.array(leastConfidentOfLedger).max(LEAST_CONFIDENT_MAX),
});
export type LedgerLabelStatistics = z.infer<typeof ledgerLabelStatisticsSchema>;

/** An item of a run with generations: its ledger is that of the run itself (0) or of a generation (from 1 on). */
export type LeastConfidentOfRun = LedgerLabelStatistics['leastConfident'][number] & {
  readonly generation: number;
};

/** An item and so much of its place as is known: what is missing is the same for all that are compared. */
type PlacedItem = LeastConfidentItem & { readonly shard?: number; readonly generation?: number };

/** Statistics whose items are placed so far as `Item` says. */
export interface Statistics<Item extends PlacedItem> {
  classes: Record<string, number>;
  confidence: number[];
  leastConfident: Item[];
}

/** Says of every listed item where else it is: in which shard, or in which generation. */
export function placeItems<Item extends PlacedItem, Place extends { shard: number } | { generation: number }>(
  statistics: Statistics<Item>,
  place: Place,
): Statistics<Item & Place> {
  return {
    ...statistics,
    leastConfident: statistics.leastConfident.map((item) => ({ ...item, ...place })),
  };
}

/**
 * The statistics of two disjoint sets of images together: associative and commutative, so that they can be added up in
 * any order.
 */
export function mergeLabelStatistics<Item extends PlacedItem>(
  a: Statistics<Item>,
  b: Statistics<Item>,
): Statistics<Item> {
  const sum = new LabelStatisticsSum<Item>();
  sum.add(a);
  sum.add(b);
  return sum.statistics();
}

/** The same for many: what each costs does not depend on how many there were before. */
export class LabelStatisticsSum<Item extends PlacedItem> {
  readonly #classes = new Map<string, number>();
  readonly #confidence = Array.from({ length: CONFIDENCE_BINS }, () => 0);
  readonly #leastConfident: Item[] = [];

  add({ classes, confidence, leastConfident }: Statistics<Item>): void {
    for (const [id, count] of Object.entries(classes)) {
      this.#classes.set(id, (this.#classes.get(id) ?? 0) + count);
    }
    confidence.forEach((count, bin) => (this.#confidence[bin] = (this.#confidence[bin] ?? 0) + count));
    for (const item of leastConfident) keepLeastConfident(this.#leastConfident, item);
  }

  statistics(): Statistics<Item> {
    return {
      // Keys that are numbers come in ascending order, whatever order they were added in.
      classes: Object.fromEntries(this.#classes),
      confidence: [...this.#confidence],
      leastConfident: [...this.#leastConfident],
    };
  }
}

/** Puts an item in its place among the least confident ones, where it belongs to them. */
export function keepLeastConfident<Item extends PlacedItem>(kept: Item[], item: Item): void {
  const last = kept.at(-1);
  if (kept.length >= LEAST_CONFIDENT_MAX && last !== undefined && compareItems(item, last) >= 0) return;
  const after = kept.findIndex((other) => compareItems(item, other) < 0);
  kept.splice(after === -1 ? kept.length : after, 0, item);
  if (kept.length > LEAST_CONFIDENT_MAX) kept.pop();
}

function compareItems(a: PlacedItem, b: PlacedItem): number {
  return (
    a.score - b.score ||
    (a.generation ?? 0) - (b.generation ?? 0) ||
    (a.shard ?? 0) - (b.shard ?? 0) ||
    a.index - b.index
  );
}
