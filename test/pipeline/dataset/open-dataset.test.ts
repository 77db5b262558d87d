import { beforeAll, describe, expect, it } from 'vitest';
import { openDataset } from '../../../src/pipeline/dataset/open-dataset.ts';
import { fakePrepareRun, prepareDataset, prepareShards, twoClasses } from '../prepare/support.ts';
import { errorOf, TestStores } from '../source/support.ts';

const OLDER = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';
const NEWER = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XB';

let bytes: Uint8Array;
beforeAll(async () => {
  const stores = new TestStores();
  const { ledger } = await prepareDataset(stores, fakePrepareRun(), await twoClasses(stores, 6));
  bytes = await ledger.store.get('dataset.json');
});

function changed(change: (text: string) => string): string {
  return change(Buffer.from(bytes).toString());
}

describe('openDataset', () => {
  it.each(['memory://d/sets/pets/', 'memory://d/sets/pets'])('opens %s', async (uri) => {
    const stores = new TestStores();
    stores.put('memory://d/sets/pets/dataset.json', bytes);
    const { dataset, store, uri: opened } = await openDataset(stores, uri);
    expect(dataset.classes).toEqual(['cat', 'dog']);
    expect(opened).toBe('memory://d/sets/pets/');
    expect(store.rootUri).toBe(opened);
  });

  it('takes the newest of the runs below a location, if the location has none itself', async () => {
    const stores = new TestStores();
    const newer = changed((text) => text.replace(OLDER, NEWER));
    stores.put(`memory://d/${NEWER}/dataset.json`, newer);
    stores.put(`memory://d/${OLDER}/dataset.json`, bytes);
    stores.put(`memory://d/r-01ZZZZZZZZZZZZZZZZZZZZZZZZ/run.json`, '{}');
    stores.put(`memory://d/r-zoo/dataset.json`, '{}');
    expect((await openDataset(stores, 'memory://d/')).uri).toBe(`memory://d/${NEWER}/`);
    stores.put('memory://d/dataset.json', bytes);
    const { uri, dataset } = await openDataset(stores, 'memory://d/');
    expect([uri, dataset.run]).toEqual(['memory://d/', OLDER]);
  });

  it('says how to make one where there is none', async () => {
    const error = await errorOf(openDataset(new TestStores(), 'memory://nothing/here'));
    expect(error.code).toBe('DATASET_NOT_FOUND');
    expect(error.message).toBe(
      'expected a prepared dataset at memory://nothing/here/, found no dataset.json; make one with: imagemill prepare SOURCE --out memory://nothing/here/',
    );
    expect((await errorOf(openDataset(new TestStores(), '/no/such/folder'))).code).toBe('DATASET_NOT_FOUND');
  });

  it('says so where a run has not written it yet', async () => {
    const stores = new TestStores();
    await prepareShards(stores, fakePrepareRun(), await twoClasses(stores, 2));
    const error = await errorOf(openDataset(stores, 'memory://dataset/'));
    expect(error.code).toBe('DATASET_NOT_FOUND');
    expect(error.message).toContain('imagemill status memory://dataset/');
  });

  it.each([
    [
      'of a newer version',
      (text: string) => text.replace('imagemill.dataset/1', 'imagemill.dataset/2'),
      'CONTRACT_VERSION_UNKNOWN',
    ],
    ['that is cut', (text: string) => text.slice(0, -20), 'CONTRACT_INVALID'],
    ['whose classes were renamed', (text: string) => text.replace('"cat"', '"car"'), 'DATASET_CHANGED'],
  ])('refuses one %s', async (_what, change, code) => {
    const stores = new TestStores();
    stores.put('memory://d/dataset.json', changed(change));
    const error = await errorOf(openDataset(stores, 'memory://d/'));
    expect(error.code).toBe(code);
    expect(error.message).toContain('memory://d/dataset.json');
  });
});
