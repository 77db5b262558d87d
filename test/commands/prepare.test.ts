import { describe, expect, it } from 'vitest';
import type { Dataset } from '../../src/contract/dataset.ts';
import { prepareReport, validationWarning } from '../../src/commands/prepare.ts';
import { summarise } from '../../src/storage/summarise-run.ts';
import {
  fakePrepareRun,
  fillSource,
  image,
  prepareDataset,
  prepareShards,
  twoClasses,
} from '../pipeline/prepare/support.ts';
import { TestStores } from '../pipeline/source/support.ts';

const run = fakePrepareRun();

describe('prepareReport', () => {
  it('is the document of prepare --json', async () => {
    const stores = new TestStores();
    const items = [
      ...(await twoClasses(stores, 10)),
      ...fillSource(stores, { 'dog/broken.png': Buffer.from('x'), 'dog/copy.png': await image(0) }),
    ];
    const { ledger, dataset } = await prepareDataset(stores, run, items);
    const report = prepareReport({
      run,
      out: ledger.out,
      state: 'done',
      summary: await summarise(ledger, run),
      dataset,
    });
    expect(report).toMatchObject({
      run: run.run,
      state: 'done',
      out: 'memory://dataset/',
      items: 22,
      prepared: 21,
      errors: 1,
      errorsByCode: { IMAGE_FORMAT_UNKNOWN: 1 },
      classes: 2,
      train: dataset.splits.train.items,
      val: dataset.splits.val.items,
      duplicates: 1,
      conflictingLabels: 1,
      meanPixel: dataset.meanPixel,
      seconds: expect.any(Number),
    });
    expect(Number(report['train']) + Number(report['val'])).toBe(21);
  });

  it('knows nothing of the dataset before the run is done', async () => {
    const stores = new TestStores();
    const ledger = await prepareShards(stores, run, await twoClasses(stores, 2));
    expect(
      prepareReport({
        run,
        out: ledger.out,
        state: 'running',
        summary: await summarise(ledger, run),
        dataset: null,
      }),
    ).toMatchObject({
      state: 'running',
      prepared: 4,
      classes: null,
      train: null,
      val: null,
      duplicates: null,
      conflictingLabels: null,
      meanPixel: null,
    });
  });
});

describe('validationWarning', () => {
  const dataset = (itemsPerClass: number[], valFraction = 0.1) =>
    ({
      valFraction,
      classes: itemsPerClass.map((_, index) => `c${index}`),
      splits: { val: { itemsPerClass } },
    }) as unknown as Dataset;

  it('names the classes that validation will not see, a few of them', () => {
    expect(validationWarning(dataset([1, 0, 2]))).toBe('no validation images of class "c1"');
    expect(validationWarning(dataset([0, 0, 2]))).toBe('no validation images of 2 classes: "c0", "c1"');
    expect(validationWarning(dataset([0, 0, 0, 0, 0, 0, 0, 1]))).toBe(
      'no validation images of 7 classes: "c0", "c1", "c2", "c3", "c4" and 2 more',
    );
  });

  it('is silent where every class has some, and where none were asked for', () => {
    expect(validationWarning(dataset([1, 2]))).toBeNull();
    expect(validationWarning(dataset([0, 0], 0))).toBeNull();
  });
});
