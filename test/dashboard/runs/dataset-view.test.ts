import { describe, expect, it } from 'vitest';
import { datasetDocument, type Dataset } from '../../../src/contract/dataset.ts';
import { describeDataset } from '../../../src/dashboard/runs/dataset-view.ts';
import { runId } from '../support.ts';

function datasetOf(train: number[], val: number[], more: Partial<Dataset> = {}): Dataset {
  const split = (itemsPerClass: number[]) => {
    const items = itemsPerClass.reduce((sum, count) => sum + count, 0);
    const tar = {
      tar: 't',
      index: 'i',
      indexDigest: 'x',
      items: Math.max(1, items),
      bytes: 100,
      digest: 'x',
    };
    return { items, itemsPerClass, shards: items === 0 ? [] : [tar, tar] };
  };
  return datasetDocument.parse(
    {
      schema: datasetDocument.id,
      run: runId(1),
      createdAt: '2026-01-02T03:04:05.000Z',
      source: 's',
      shortSide: 256,
      encoding: 'jpeg',
      valFraction: 0.1,
      seed: 0,
      classes: train.map((_, id) => `class ${id}`),
      splits: { train: split(train), val: split(val) },
      meanPixel: [1, 2, 3],
      covariance: [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
      eigenvalues: [3, 2, 1],
      eigenvectors: [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
      errors: 0,
      duplicates: { contents: 0, items: 0, conflictingLabels: 0 },
      digest: 'sha256:1',
      ...more,
    },
    'x',
  );
}

describe('the view of a dataset', () => {
  it('puts the largest classes first, and adds up the tars', () => {
    const view = describeDataset(datasetOf([10, 30, 20], [1, 2, 3]));
    expect(view.perClass[0]).toEqual({ name: 'class 1', train: 30, val: 2 });
    expect(view.splits.train).toEqual({ items: 60, tars: 2, bytes: 200 });
    expect(view.warnings).toEqual([]);
  });

  it('warns of what may make training worse', () => {
    const duplicates = { contents: 3, items: 7, conflictingLabels: 2 };
    const { warnings } = describeDataset(datasetOf([100, 0, 200, 2], [5, 0, 5, 5], { duplicates }));
    expect(warnings).toEqual([
      '1 class without training images',
      '1 class without validation images',
      '1 class with less than a tenth of the mean number of training images',
      '2 images occur under different labels',
    ]);
    expect(describeDataset(datasetOf([5, 5], [0, 0])).warnings).toEqual([
      'No validation images: the training error decides which epoch is best',
    ]);
  });

  it('stays small', () => {
    const many = Array.from({ length: 5_000 }, () => 3);
    expect(describeDataset(datasetOf(many, many))).toMatchObject({
      classes: 5_000,
      perClass: { length: 1_000 },
    });
  });
});
