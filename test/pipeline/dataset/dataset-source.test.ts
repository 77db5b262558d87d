import { beforeEach, describe, expect, it } from 'vitest';
import { datasetSource } from '../../../src/pipeline/dataset/dataset-source.ts';
import { openDataset, type OpenedDataset } from '../../../src/pipeline/dataset/open-dataset.ts';
import { readSplit } from '../../../src/pipeline/dataset/read-split.ts';
import { createItemReader } from '../../../src/pipeline/source/item-reader.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../prepare/support.ts';
import { collect, errorOf, expectResumable, TestStores } from '../source/support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

let stores: TestStores;
let opened: OpenedDataset;
beforeEach(async () => {
  stores = new TestStores();
  await prepareDataset(stores, fakePrepareRun({ shardSize: 5 }), await twoClasses(stores, 9));
  opened = await openDataset(stores, 'memory://dataset/');
});

describe('datasetSource', () => {
  it.each(['train', 'val'] as const)(
    'lists every image of %s with its label and its bytes',
    async (split) => {
      const entries = await collect(datasetSource(opened, split));
      const items = await readSplit(opened, split);
      expect(entries).toHaveLength(items.count);
      expect(items.tars.length).toBeGreaterThan(1);
      const reader = createItemReader(stores, { maxBytes: 1_000_000 });
      for (const [position, { item }] of entries.entries()) {
        const label = opened.dataset.classes[items.classes[position] ?? -1];
        const tar = `memory://dataset/${items.tars[items.shard[position] ?? -1]}`;
        const bytes = items.lengths[position];
        expect(item).toEqual({
          uri: expect.stringMatching(
            /^memory:\/\/dataset\/(train|val)\/\d{6}\.tar#\d{6}-\d{8}\.png$/,
          ) as string,
          label,
          bytes,
          within: { uri: tar, offset: items.offsets[position], bytes },
        });
        const read = await reader.read(item, new AbortController().signal);
        expect(Buffer.compare(read, await items.readItem(position))).toBe(0);
      }
    },
  );

  it('names every image once', async () => {
    const uris = (await collect(datasetSource(opened, 'train'))).map(({ item }) => item.uri);
    expect(new Set(uris).size).toBe(uris.length);
  });

  it('goes on after any image, and reads no index before that', async () => {
    const all = await expectResumable(datasetSource(opened, 'train'));
    const keys: string[] = [];
    const store = wrapStore(opened.store, {
      get: (key, options) => {
        keys.push(key);
        return opened.store.get(key, options);
      },
    });
    const { shards } = opened.dataset.splits.train;
    const first = shards[0]?.items ?? 0;
    const rest = await collect(datasetSource({ ...opened, store }, 'train'), all[first]?.cursor);
    expect(rest).toEqual(all.slice(first + 1));
    expect(keys).toEqual(shards.slice(1).map(({ index }) => index));
  });

  it('lists only tars that the dataset names: one that another attempt left does not count', async () => {
    const before = await collect(datasetSource(opened, 'train'));
    const stray = await opened.store.get(opened.dataset.splits.train.shards[0]?.tar ?? '');
    await opened.store.put('train/000099.tar', stray);
    await opened.store.put('train/000099.token.index.json', Buffer.from('{}'));
    expect(await collect(datasetSource(opened, 'train'))).toEqual(before);
  });

  it('calls images of a JPEG dataset .jpg', async () => {
    const run = fakePrepareRun({ encoding: 'jpeg' });
    await prepareDataset(stores, run, await twoClasses(stores, 3), 'jpegs');
    const jpegs = await openDataset(stores, 'memory://jpegs/');
    for (const { item } of await collect(datasetSource(jpegs, 'train'))) expect(item.uri).toMatch(/\.jpg$/);
  });

  it('refuses an index that was changed, and a cursor of something else', async () => {
    for (const cursor of ['', 'x', '{}', '[0]', '[0,-1]', '["a",1]']) {
      const error = await errorOf(collect(datasetSource(opened, 'train'), cursor));
      expect([error.code, error.message]).toEqual([
        'CONTRACT_INVALID',
        expect.stringContaining(`got ${cursor}`),
      ]);
    }
    await opened.store.put(opened.dataset.splits.train.shards[0]?.index ?? '', Buffer.from('{}'));
    expect((await errorOf(collect(datasetSource(opened, 'train')))).code).toBe('DATASET_CHANGED');
  });
});
