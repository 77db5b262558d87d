import { expect, it } from 'vitest';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { memoryKind, NO_S3 } from '../support/object-stores.ts';
import { keysOf } from './contract-helpers.ts';
import { describeObjectStore } from './object-store-contract.ts';

describeObjectStore(memoryKind());

it('shares the contents of a name within one resolver only', async () => {
  const one = createStoreResolver({ s3: NO_S3 });
  const other = createStoreResolver({ s3: NO_S3 });
  await one.open('memory://photos/a').put('k', new Uint8Array(1));
  expect(await keysOf(one.open('memory://photos'))).toEqual(['a/k']);
  expect(await keysOf(one.open('memory://other'))).toEqual([]);
  expect(await keysOf(other.open('memory://photos'))).toEqual([]);
});
