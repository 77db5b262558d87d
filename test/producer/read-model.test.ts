import { describe, expect, it } from 'vitest';
import { readModel, readModelFile } from '../../src/producer/read-model.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';
import { ImagemillError } from '../../src/contract/errors.ts';
import { smallModel } from '../support/workspace.ts';

const URI = 'memory://models/small.safetensors';

function storesWithModel(): TestStores {
  const stores = new TestStores();
  stores.put(URI, smallModel());
  return stores;
}

describe('readModel', () => {
  it('describes a model by its uri and the digest of its bytes', async () => {
    const { card } = await readModel(URI, undefined, storesWithModel());
    expect(card).toMatchObject({
      uri: URI,
      digest: sha256(smallModel()),
      format: 'safetensors',
      architecture: 'alexnet-small',
      classes: 10,
      labelsFrom: 'model',
    });
  });

  it("takes other labels in place of the model's own, as many as there are classes", async () => {
    const labels = Array.from({ length: 10 }, (_, index) => `l${index}`);
    const { card } = await readModel(URI, labels, storesWithModel());
    expect([card.labels, card.labelsFrom]).toEqual([labels, 'file']);
    const error = await errorOf(readModel(URI, ['one'], storesWithModel()));
    expect(error.code).toBe('MODEL_LABELS_MISMATCH');
  });
});

describe('readModelFile', () => {
  it('gives the bytes, and says where they are', async () => {
    const { bytes, where } = await readModelFile(URI, storesWithModel());
    expect([sha256(bytes), where]).toEqual([sha256(smallModel()), URI]);
  });

  it('names a model that is not there, as a model', async () => {
    const error = await errorOf(readModelFile('memory://models/gone.onnx', new TestStores()));
    expect([error.code, error.message]).toEqual([
      'MODEL_NOT_FOUND',
      'expected a model file at memory://models/gone.onnx, found none',
    ]);
  });

  it('passes on every other failure of the store', async () => {
    const stores = storesWithModel();
    const failure = new ImagemillError('STORE_ACCESS_DENIED', 'no');
    const denied = wrapStore(stores.open('memory://models/'), { get: () => Promise.reject(failure) });
    stores.replaced.set('models', denied);
    expect(await errorOf(readModelFile(URI, stores))).toBe(failure);
  });
});
