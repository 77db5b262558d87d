import { describe, expect, it } from 'vitest';
import {
  datasetDocument,
  datasetIndexDocument,
  duplicateSchema,
  type Dataset,
  type Duplicate,
  type Split,
} from '../../src/contract/dataset.ts';
import type { Item } from '../../src/contract/item.ts';
import { digestOfDataset } from '../../src/pipeline/dataset/dataset-facts.ts';
import { finishPrepare } from '../../src/pipeline/finish-prepare.ts';
import { sha256 } from '../../src/storage/digest.ts';
import type { RunLedger } from '../../src/storage/run-ledger.ts';
import {
  fakePrepareRun,
  fillSource,
  image,
  imageIn,
  prepareDataset,
  prepareShards,
  twoClasses,
} from './prepare/support.ts';
import { errorOf, TestStores } from './source/support.ts';

async function duplicatesOf(ledger: RunLedger): Promise<Duplicate[]> {
  const text = Buffer.from(await ledger.store.get('duplicates.jsonl')).toString();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => duplicateSchema.parse(JSON.parse(line)));
}

async function digestsOf({ store }: RunLedger, { splits }: Dataset, split: Split): Promise<string[]> {
  const digests: string[] = [];
  for (const { index } of splits[split].shards) {
    digests.push(...datasetIndexDocument.decode(await store.get(index), index).digests);
  }
  return digests;
}

/** What does not depend on how a source is cut into shards. */
function facts({
  classes,
  splits,
  meanPixel,
  covariance,
  eigenvalues,
  eigenvectors,
  duplicates,
  errors,
}: Dataset) {
  const counts = { train: splits.train.itemsPerClass, val: splits.val.itemsPerClass };
  return { classes, counts, meanPixel, covariance, eigenvalues, eigenvectors, duplicates, errors };
}

describe('finishPrepare', () => {
  it('merges shards to exactly what one big shard gives', async () => {
    const stores = new TestStores();
    const items = await twoClasses(stores, 15);
    const [first] = items;
    if (first !== undefined) items.push({ ...first });
    const big = await prepareDataset(stores, fakePrepareRun({ shardSize: 1_000 }), items, 'big');
    for (const shardSize of [1, 7, 30]) {
      const small = await prepareDataset(stores, fakePrepareRun({ shardSize }), items, `small-${shardSize}`);
      expect(facts(small.dataset)).toEqual(facts(big.dataset));
      expect(await duplicatesOf(small.ledger)).toEqual(await duplicatesOf(big.ledger));
    }
    expect(big.dataset.splits.train.shards).toHaveLength(1);
  });

  it('writes dataset.json: counts, tars with their digests, statistics that fit, and a digest of it all', async () => {
    const stores = new TestStores();
    const run = fakePrepareRun();
    const { ledger, dataset } = await prepareDataset(stores, run, await twoClasses(stores));
    const stored = datasetDocument.decode(await ledger.store.get('dataset.json'), 'dataset.json');
    expect(stored).toEqual(dataset);
    expect(dataset).toMatchObject({
      run: run.run,
      createdAt: '2026-01-02T03:05:02.000Z',
      source: run.spec.source.uri,
      shortSide: 16,
      encoding: 'png',
      valFraction: 0.3,
      seed: 0,
      classes: ['cat', 'dog'],
      errors: 0,
      duplicates: { contents: 0, items: 0, conflictingLabels: 0 },
    });
    expect(await ledger.store.head('duplicates.jsonl')).toBeNull();
    const { train, val } = dataset.splits;
    expect(train.items + val.items).toBe(24);
    for (const { items, itemsPerClass, shards } of [train, val]) {
      expect(itemsPerClass.reduce((sum, count) => sum + count, 0)).toBe(items);
      expect(shards.reduce((sum, shard) => sum + shard.items, 0)).toBe(items);
      for (const { tar, digest, bytes, index, indexDigest } of shards) {
        const body = await ledger.store.get(tar);
        expect([sha256(body), body.length]).toEqual([digest, bytes]);
        expect(sha256(await ledger.store.get(index))).toBe(indexDigest);
      }
    }
    const trace = dataset.covariance[0][0] + dataset.covariance[1][1] + dataset.covariance[2][2];
    expect(dataset.eigenvalues[0] + dataset.eigenvalues[1] + dataset.eigenvalues[2]).toBeCloseTo(trace, 8);
    expect(dataset.digest).toBe(digestOfDataset(dataset));
  });

  it('has one digest for the same images from elsewhere, and another one for other labels', async () => {
    const digest = async (objects: Record<string, Uint8Array>) => {
      const stores = new TestStores();
      const { dataset } = await prepareDataset(
        stores,
        fakePrepareRun({ valFraction: 0 }),
        fillSource(stores, objects),
      );
      return dataset.digest;
    };
    const [a, b, c] = [await image(1), await image(2), await image(3)];
    const original = await digest({ 'cat/1.png': a, 'cat/2.png': b, 'dog/1.png': c });
    expect(await digest({ 'cat/x/1.png': a, 'cat/x/2.png': b, 'dog/9.png': c })).toBe(original);
    expect(await digest({ 'cat/1.png': a, 'dog/0.png': b, 'dog/1.png': c })).not.toBe(original);
  });

  it('keeps an image in its split when the collection grows', async () => {
    const stores = new TestStores();
    const small = await prepareDataset(
      stores,
      fakePrepareRun({ shardSize: 7 }),
      await twoClasses(stores, 6),
      'small',
    );
    const large = await prepareDataset(
      stores,
      fakePrepareRun({ shardSize: 5 }),
      await twoClasses(stores, 18),
      'large',
    );
    const urisOf = async ({ ledger, dataset }: typeof small, split: 'train' | 'val') => {
      const uris: string[] = [];
      for (const { index } of dataset.splits[split].shards) {
        const document = JSON.parse(Buffer.from(await ledger.store.get(index)).toString()) as {
          uris: string[];
        };
        uris.push(...document.uris);
      }
      return uris;
    };
    for (const split of ['train', 'val'] as const) {
      expect((await urisOf(large, split)).length).toBeGreaterThan((await urisOf(small, split)).length);
      expect(await urisOf(large, split)).toEqual(expect.arrayContaining(await urisOf(small, split)));
    }
  });

  it('lists contents that occur more than once, and says which have conflicting labels', async () => {
    const stores = new TestStores();
    const items = await twoClasses(stores, 8);
    const [a, b] = [await image(500), await image(501)];
    const more = fillSource(stores, {
      'bird/1.png': a,
      'cat/a.png': a,
      'dog/a.png': a,
      'cat/b1.png': b,
      'cat/b2.png': b,
    });
    const filler = fillSource(stores, { 'bird/2.png': await imageIn('train', fakePrepareRun().spec, 600) });
    const { ledger, dataset } = await prepareDataset(stores, fakePrepareRun({ shardSize: 4 }), [
      ...items,
      ...more,
      ...filler,
    ]);
    expect(dataset.duplicates).toEqual({ contents: 2, items: 5, conflictingLabels: 1 });
    const found = await duplicatesOf(ledger);
    expect(found.map(({ digest }) => digest)).toEqual([sha256(a), sha256(b)].toSorted());
    const ofA = found.find(({ digest }) => digest === sha256(a));
    expect(ofA?.labels).toEqual(['bird', 'cat', 'dog']);
    expect(ofA?.uris).toEqual(
      ['bird/1.png', 'cat/a.png', 'dog/a.png'].map((key) => `memory://source/${key}`),
    );
    // One content is in one split, whatever its labels are.
    const [train, val] = await Promise.all([
      digestsOf(ledger, dataset, 'train'),
      digestsOf(ledger, dataset, 'val'),
    ]);
    expect([...train, ...val].filter((digest) => digest === sha256(a))).toHaveLength(3);
    expect(train.filter((digest) => val.includes(digest))).toEqual([]);
    expect(val.length).toBeGreaterThan(0);
  });

  it('sorts classes by code points', async () => {
    const stores = new TestStores();
    const names = ['Zebra', 'ant', 'é', '\u{ff21}', '🦈'];
    const objects: Record<string, Uint8Array> = {};
    for (const [index, name] of names.toReversed().entries()) objects[`${name}/0.png`] = await image(index);
    const { dataset } = await prepareDataset(
      stores,
      fakePrepareRun({ valFraction: 0 }),
      fillSource(stores, objects),
    );
    expect(dataset.classes).toEqual(names);
  });

  it('finds the dataset that is there, and writes the same one after it was lost', async () => {
    const stores = new TestStores();
    const run = fakePrepareRun();
    const { ledger, dataset } = await prepareDataset(stores, run, await twoClasses(stores));
    const bytes = await ledger.store.get('dataset.json');
    expect(await finishPrepare(ledger, run)).toEqual(dataset);
    await ledger.store.delete('dataset.json');
    await finishPrepare(ledger, run);
    expect(Buffer.compare(await ledger.store.get('dataset.json'), bytes)).toBe(0);
  });
});

describe('a ledger that does not hold what it should', () => {
  const prepared = async (items?: Item[]) => {
    const stores = new TestStores();
    const run = fakePrepareRun();
    return { run, ledger: await prepareShards(stores, run, items ?? (await twoClasses(stores))) };
  };

  it('is refused where a shard has no commit', async () => {
    const { run, ledger } = await prepared();
    await ledger.store.delete('commits/000001.json');
    expect((await errorOf(finishPrepare(ledger, run))).message).toContain(
      'a commit for each of 3 shards, got 2',
    );
  });

  it.each(['parts/000001.token00001.json', 'train/000001.token00001.index.json'])(
    'is refused where %s was changed',
    async (key) => {
      const { run, ledger } = await prepared();
      const body = Buffer.from(await ledger.store.get(key))
        .toString()
        .replace('cat', 'car');
      await ledger.store.put(key, Buffer.from(body));
      const error = await errorOf(finishPrepare(ledger, run));
      expect(error.code).toBe('DATASET_CHANGED');
      expect(error.message).toContain(key);
    },
  );
});
