import { expect, it } from 'vitest';
import { datasetDocument } from '../../src/contract/dataset.ts';
import { createDocuments } from '../fuzz/valid-documents.ts';

it('refuses a tar of more images than a shard can have, for which memory would be taken', () => {
  const shard = { items: 2 };
  const example = createDocuments()[datasetDocument.id] as { splits: { train: { shards: object[] } } };
  const [tar] = example.splits.train.shards;
  const train = { ...example.splits.train, shards: [Object.assign(shard, tar)] };
  const value = { ...example, splits: { ...example.splits, train } };
  expect(() => datasetDocument.parse(value, 'd')).not.toThrow();
  shard.items = 2 ** 50;
  expect(() => datasetDocument.parse(value, 'd')).toThrow(
    expect.objectContaining({
      code: 'CONTRACT_INVALID',
      message: expect.stringContaining('shards.0.items') as string,
    }),
  );
});
