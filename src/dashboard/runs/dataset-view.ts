import { SPLITS, type Dataset, type Split } from '../../contract/dataset.ts';
import { findDataset } from '../../pipeline/finish-prepare.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

const CLASSES_SHOWN_MAX = 1_000;
/** Classes that far below the mean are worth a warning: training will see little of them. */
const RARE_SHARE = 0.1;

/** A dataset, cut down to what a page shows of it: small, however many shards and classes there are. */
export interface DatasetView {
  readonly classes: number;
  /** Most training images first; CLASSES_SHOWN_MAX at most. */
  readonly perClass: readonly { readonly name: string; readonly train: number; readonly val: number }[];
  readonly splits: Readonly<
    Record<Split, { readonly items: number; readonly tars: number; readonly bytes: number }>
  >;
  readonly meanPixel: readonly [number, number, number];
  /** Of the pixels' covariance, descending, 0..255 squared. */
  readonly eigenvalues: readonly [number, number, number];
  readonly errors: number;
  readonly duplicates: Dataset['duplicates'];
  readonly digest: string;
  readonly warnings: readonly string[];
}

/** null where `dataset.json` has not been written. @throws ImagemillError CONTRACT_*, STORE_* */
export async function readDatasetView(store: ObjectStore): Promise<DatasetView | null> {
  const dataset = await findDataset(store);
  return dataset === null ? null : describeDataset(dataset);
}

export function describeDataset(dataset: Dataset): DatasetView {
  const { train, val } = dataset.splits;
  const perClass = dataset.classes.map((name, index) => ({
    name,
    train: train.itemsPerClass[index] ?? 0,
    val: val.itemsPerClass[index] ?? 0,
  }));
  const split = (name: Split) => {
    const { items, shards } = dataset.splits[name];
    return { items, tars: shards.length, bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0) };
  };
  const { meanPixel, eigenvalues, errors, duplicates, digest } = dataset;
  return {
    classes: perClass.length,
    perClass: perClass.toSorted((a, b) => b.train - a.train).slice(0, CLASSES_SHOWN_MAX),
    splits: { train: split(SPLITS[0]), val: split(SPLITS[1]) },
    meanPixel,
    eigenvalues,
    errors,
    duplicates,
    digest,
    warnings: warningsOf(dataset, perClass),
  };
}

/** What may make training worse than the figures alone suggest. */
function warningsOf({ splits, duplicates }: Dataset, perClass: DatasetView['perClass']): string[] {
  const warnings: string[] = [];
  const counted = (count: number, what: string) => {
    if (count > 0) warnings.push(`${count === 1 ? '1 class' : `${count} classes`} ${what}`);
  };
  counted(perClass.filter(({ train }) => train === 0).length, 'without training images');
  if (splits.val.items === 0)
    warnings.push('No validation images: the training error decides which epoch is best');
  else counted(perClass.filter(({ val }) => val === 0).length, 'without validation images');
  const mean = splits.train.items / Math.max(1, perClass.length);
  const rare = perClass.filter(({ train }) => train > 0 && train < mean * RARE_SHARE).length;
  counted(rare, 'with less than a tenth of the mean number of training images');
  if (duplicates.conflictingLabels > 0) {
    const { conflictingLabels: contents } = duplicates;
    warnings.push(
      contents === 1
        ? '1 image occurs under different labels'
        : `${contents} images occur under different labels`,
    );
  }
  return warnings;
}
