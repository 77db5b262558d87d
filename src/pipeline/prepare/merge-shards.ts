import { SPLITS, type Dataset, type DatasetIndex, type Split } from '../../contract/dataset.ts';
import type { PreparedShard } from '../../contract/ledger.ts';
import { eigenSymmetric3 } from './eigen.ts';
import { PixelSummer } from './pixel-sums.ts';
import { byCodePoint } from './text-order.ts';

/** Images of one class. */
export interface ClassCounts {
  readonly name: string;
  readonly train: number;
  readonly val: number;
}

type SplitEntry = Dataset['splits'][Split];

/** Adds up prepared shards, in their order. Of an image nothing is kept. */
export class ShardMerger {
  readonly #counts = new Map<string, { train: number; val: number }>();
  readonly #shards: Record<Split, SplitEntry['shards']> = { train: [], val: [] };
  readonly #summer = new PixelSummer();

  add(shard: PreparedShard, indexes: Readonly<Record<Split, DatasetIndex | null>>): void {
    for (const { name } of shard.classes) this.#countsOf(name);
    this.#summer.merge(shard.sums);
    for (const split of SPLITS) {
      const written = shard[split];
      const index = indexes[split];
      if (written === null || index === null) continue;
      this.#shards[split].push({
        tar: written.tar.key,
        index: written.index.key,
        indexDigest: written.index.digest,
        items: written.items,
        bytes: written.tar.bytes,
        digest: written.tar.digest,
      });
      for (const label of index.classes) this.#countsOf(index.labels[label] ?? '')[split] += 1;
    }
  }

  /** Every class that an item has, also one of which no image could be prepared; in code point order. */
  classes(): ClassCounts[] {
    return [...this.#counts]
      .sort(([a], [b]) => byCodePoint(a, b))
      .map(([name, { train, val }]) => ({ name, train, val }));
  }

  /** @throws ImagemillError INTERNAL where there is no training image */
  merged(): Pick<
    Dataset,
    'classes' | 'splits' | 'meanPixel' | 'covariance' | 'eigenvalues' | 'eigenvectors'
  > {
    const classes = this.classes();
    const split = (name: Split): SplitEntry => ({
      items: classes.reduce((sum, counts) => sum + counts[name], 0),
      itemsPerClass: classes.map((counts) => counts[name]),
      shards: this.#shards[name],
    });
    const { mean, covariance } = this.#summer.moments();
    const { values, vectors } = eigenSymmetric3(covariance);
    return {
      classes: classes.map(({ name }) => name),
      splits: { train: split('train'), val: split('val') },
      meanPixel: mean,
      covariance,
      eigenvalues: values,
      eigenvectors: vectors,
    };
  }

  #countsOf(name: string): { train: number; val: number } {
    const counts = this.#counts.get(name) ?? { train: 0, val: 0 };
    this.#counts.set(name, counts);
    return counts;
  }
}
