import { expect, it } from 'vitest';
import { loadModel } from '../../../src/pipeline/engine/load-model.ts';
import type { StoreResolver } from '../../../src/storage/object-store.ts';
import { createStoreResolver } from '../../../src/storage/resolver.ts';
import { LoadedModels } from '../../../src/workers/compute/loaded-models.ts';
import { fakeRun } from '../../support/fake-run.ts';
import { NO_S3 } from '../../support/object-stores.ts';
import { smallModel } from '../../support/workspace.ts';

const URI = 'memory://models/small.safetensors';

async function resolverWithModel(bytes: Uint8Array): Promise<StoreResolver> {
  const resolver = createStoreResolver({ s3: NO_S3 });
  const { store, key } = resolver.resolve(URI);
  await store.put(key, bytes);
  return resolver;
}

const open = (resolver: StoreResolver) =>
  new LoadedModels({
    resolver,
    engine: 'onnxruntime',
    device: 'cpu',
    engineThreads: 1,
    tensorflowDirectory: undefined,
    onNotice: () => {},
  });

it('opens a model once for two shards, and both hear that it is coming', async () => {
  const bytes = smallModel();
  const { card } = await loadModel(bytes, { uri: URI });
  const models = open(await resolverWithModel(bytes));
  const run = { ...fakeRun({ batchSize: 2 }), model: card };
  const steps = [0, 0];
  const used = await Promise.all(
    [0, 1].map((index) =>
      models.use(
        run,
        () => (steps[index] = (steps[index] ?? 0) + 1),
        async (model) => model,
      ),
    ),
  );
  expect(used[0]).toBe(used[1]);
  expect(used[0]?.graph).toMatchObject({ batchSize: 2, topK: 2, height: 64, width: 64 });
  expect(steps[0]).toBeGreaterThan(2);
  expect(steps[1]).toBe(steps[0]);
});

it('refuses a file that is no longer the one the run was submitted with, and tries again later', async () => {
  const { card } = await loadModel(smallModel(), { uri: URI });
  const resolver = await resolverWithModel(smallModel(10, 1));
  const models = open(resolver);
  const run = { ...fakeRun(), model: card };
  const use = () =>
    models.use(
      run,
      () => {},
      async ({ graph }) => graph.batchSize,
    );
  await expect(use()).rejects.toMatchObject({ code: 'MODEL_DIGEST_CHANGED' });
  const { store, key } = resolver.resolve(URI);
  await store.put(key, smallModel());
  expect(await use()).toBe(4);
});
