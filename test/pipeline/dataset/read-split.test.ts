import sharp from 'sharp';
import { beforeEach, describe, expect, it } from 'vitest';
import { openDataset, type OpenedDataset } from '../../../src/pipeline/dataset/open-dataset.ts';
import { readSplit } from '../../../src/pipeline/dataset/read-split.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../prepare/support.ts';
import { errorOf, TestStores } from '../source/support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

let stores: TestStores;
let opened: OpenedDataset;
beforeEach(async () => {
  stores = new TestStores();
  await prepareDataset(stores, fakePrepareRun({ shardSize: 5 }), await twoClasses(stores, 9));
  opened = await openDataset(stores, 'memory://dataset/');
});

describe('readSplit', () => {
  it.each(['train', 'val'] as const)(
    'knows every image of %s: its tar, place, class and size',
    async (split) => {
      const items = await readSplit(opened, split);
      const { itemsPerClass, shards, items: count } = opened.dataset.splits[split];
      expect(items.count).toBe(count);
      expect(items.tars).toEqual(shards.map(({ tar }) => tar));
      const perClass = opened.dataset.classes.map(
        (_, id) => items.classes.filter((value) => value === id).length,
      );
      expect(perClass).toEqual(itemsPerClass);
      for (let i = 0; i < count; i++) {
        const bytes = await items.readItem(i);
        expect(bytes.length).toBe(items.lengths[i]);
        const { width, height, format } = await sharp(bytes).metadata();
        expect([width, height, format]).toEqual([items.widths[i], items.heights[i], 'png']);
        const tar = await opened.store.get(items.tars[items.shard[i] ?? -1] ?? '');
        const offset = items.offsets[i] ?? -1;
        expect(Buffer.compare(bytes, tar.subarray(offset, offset + bytes.length))).toBe(0);
        // The class as the tar says it: the next member is the label.
        const next = offset + Math.ceil(bytes.length / 512) * 512 + 512;
        const label = Buffer.from(tar.subarray(next, next + 3)).toString();
        expect(label).toBe(opened.dataset.classes[items.classes[i] ?? -1]);
      }
    },
  );

  it('reads each index once, and no tar before an image is asked for', async () => {
    const keys: string[] = [];
    const store = wrapStore(opened.store, {
      get: (key, options) => {
        keys.push(key);
        return opened.store.get(key, options);
      },
    });
    await readSplit({ ...opened, store }, 'train');
    expect(keys.toSorted()).toEqual(opened.dataset.splits.train.shards.map(({ index }) => index).toSorted());
  });

  it('is empty for a split without images', async () => {
    const empty = new TestStores();
    await prepareDataset(empty, fakePrepareRun({ valFraction: 0 }), await twoClasses(empty, 2));
    const items = await readSplit(await openDataset(empty, 'memory://dataset/'), 'val');
    expect([items.count, items.tars]).toEqual([0, []]);
    expect((await errorOf(items.readItem(0))).code).toBe('INTERNAL');
  });

  it.each([-1, 0.5, Number.NaN, 1e9])('has no item %d', async (i) => {
    const items = await readSplit(opened, 'train');
    expect((await errorOf(items.readItem(i))).code).toBe('INTERNAL');
  });

  it('refuses an index that was changed, or is gone', async () => {
    const key = opened.dataset.splits.train.shards[1]?.index ?? '';
    const body = Buffer.from(await opened.store.get(key)).toString();
    await opened.store.put(key, Buffer.from(body.replace('"offsets":[512', '"offsets":[513')));
    expect((await errorOf(readSplit(opened, 'train'))).code).toBe('DATASET_CHANGED');
    await opened.store.delete(key);
    const error = await errorOf(readSplit(opened, 'train'));
    expect(error.code).toBe('DATASET_CHANGED');
    expect(error.message).toContain(key);
  });

  it('refuses an index of another tar, or with another number of images', async () => {
    const [first, second] = opened.dataset.splits.train.shards;
    if (first === undefined || second === undefined) throw new Error('expected two shards');
    const pretend = (change: object) => ({
      ...opened,
      dataset: {
        ...opened.dataset,
        splits: {
          ...opened.dataset.splits,
          train: { ...opened.dataset.splits.train, shards: [{ ...first, ...change }] },
        },
      },
    });
    const other = { index: second.index, indexDigest: second.indexDigest };
    for (const change of [other, { items: first.items + 1 }, { bytes: first.bytes - 1 }]) {
      expect((await errorOf(readSplit(pretend(change), 'train'))).code).toBe('DATASET_CHANGED');
    }
  });
});
