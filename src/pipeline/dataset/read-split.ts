import type { DatasetIndex, Split } from '../../contract/dataset.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { mapAhead } from '../batch/map-ahead.ts';
import { tarsOf } from './dataset-facts.ts';
import type { OpenedDataset } from './open-dataset.ts';
import { readIndex } from './read-index.ts';
import { createTarReader, MAX_HELD_TAR_BYTES } from './tar-reader.ts';

/** Indexes read at a time. */
const INDEXES_AHEAD = 16;

/** The images of a split, in columns; some 22 bytes each. The order is that of the tars, and never changes. */
export interface SplitItems {
  readonly count: number;
  /** Position in `tars`. */
  readonly shard: Uint32Array;
  /** First byte of the image in its tar. */
  readonly offsets: Float64Array;
  /** Bytes. */
  readonly lengths: Uint32Array;
  /** Index into the dataset's `classes`. */
  readonly classes: Uint16Array | Uint32Array;
  /** Pixels, as prepared. */
  readonly widths: Uint16Array;
  readonly heights: Uint16Array;
  /** Keys, relative to the dataset. */
  readonly tars: readonly string[];
  /**
   * The encoded image of item `i`; the caller may keep it.
   * @throws ImagemillError DATASET_CHANGED where the tar is gone or is another one; the store's errors
   */
  readItem(i: number, signal?: AbortSignal): Promise<Uint8Array>;
}

export interface SplitOptions {
  /** Tars that are held in memory, in bytes, where all of the split together are no more. */
  readonly maxHeldTarBytes?: number;
}

/**
 * Reads where the images of a split lie. Every index is checked against the dataset.
 * @throws ImagemillError DATASET_CHANGED, CONTRACT_*, the store's errors
 */
export async function readSplit(
  { dataset, store }: Pick<OpenedDataset, 'dataset' | 'store'>,
  split: Split,
  signal?: AbortSignal,
  { maxHeldTarBytes = MAX_HELD_TAR_BYTES }: SplitOptions = {},
): Promise<SplitItems> {
  const tars = tarsOf(dataset, split);
  const count = tars.reduce((sum, { items }) => sum + items, 0);
  const classIds = new Map(dataset.classes.map((name, id) => [name, id]));
  const columns = {
    shard: new Uint32Array(count),
    offsets: new Float64Array(count),
    lengths: new Uint32Array(count),
    classes: dataset.classes.length <= 2 ** 16 ? new Uint16Array(count) : new Uint32Array(count),
    widths: new Uint16Array(count),
    heights: new Uint16Array(count),
  };
  let [first, shard] = [0, 0];
  for await (const index of mapAhead(tars, INDEXES_AHEAD, (tar) => readIndex(store, tar, signal))) {
    columns.shard.fill(shard, first, first + index.keys.length);
    columns.offsets.set(index.offsets, first);
    columns.lengths.set(index.lengths, first);
    columns.classes.set(globalClasses(index, classIds), first);
    columns.widths.set(index.widths, first);
    columns.heights.set(index.heights, first);
    first += index.keys.length;
    shard += 1;
  }

  const read = createTarReader(store, tars, maxHeldTarBytes);
  return {
    count,
    ...columns,
    tars: tars.map(({ tar }) => tar),
    async readItem(i, signal) {
      if (!Number.isInteger(i) || i < 0 || i >= count) {
        throw new ImagemillError('INTERNAL', `expected an item from 0 to ${count - 1}, got ${i}`);
      }
      return read(columns.shard[i] ?? 0, columns.offsets[i] ?? 0, columns.lengths[i] ?? 0, signal);
    },
  };
}

function globalClasses(index: DatasetIndex, classIds: ReadonlyMap<string, number>): number[] {
  const ids = index.labels.map((label) => {
    const id = classIds.get(label);
    if (id !== undefined) return id;
    throw new ImagemillError(
      'DATASET_CHANGED',
      `index of ${index.tar}: expected classes of the dataset, got ${JSON.stringify(label)}`,
    );
  });
  return index.classes.map((label) => ids[label] ?? 0);
}
