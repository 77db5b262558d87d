import type { Dataset, Split } from '../../contract/dataset.ts';
import { sha256Json } from '../../storage/digest.ts';
import type { IndexedTar } from './read-index.ts';

/**
 * `sha256:<hex>` of what training depends on: classes, tars (pixels, labels and their order), and the statistics that
 * normalise and augment. Where the images came from is not part of it: the same images prepared from another place
 * are the same dataset.
 */
export function digestOfDataset(dataset: Omit<Dataset, 'digest'>): string {
  const tars = (split: Split) => dataset.splits[split].shards.map(({ items, digest }) => ({ items, digest }));
  return sha256Json({
    classes: dataset.classes,
    train: tars('train'),
    val: tars('val'),
    meanPixel: dataset.meanPixel,
    covariance: dataset.covariance,
    eigenvalues: dataset.eigenvalues,
    eigenvectors: dataset.eigenvectors,
  });
}

/** Names of the classes that have no image in a split. */
export function classesWithout(dataset: Pick<Dataset, 'classes' | 'splits'>, split: Split): string[] {
  return dataset.classes.filter((_, index) => (dataset.splits[split].itemsPerClass[index] ?? 0) === 0);
}

/** The tars of a split with their indexes. */
export function tarsOf(dataset: Pick<Dataset, 'splits'>, split: Split): readonly IndexedTar[] {
  return dataset.splits[split].shards;
}
