import { ImagemillError } from '../contract/errors.ts';
import { loadModel, type LoadedModel } from '../pipeline/engine/load-model.ts';
import type { StoreResolver } from '../storage/object-store.ts';

/**
 * Reads a model's file and describes it.
 * @throws ImagemillError MODEL_NOT_FOUND, MODEL_*, STORE_*
 */
export async function readModel(
  uri: string,
  labels: readonly string[] | undefined,
  resolver: StoreResolver,
): Promise<LoadedModel> {
  const { bytes, where } = await readModelFile(uri, resolver);
  return loadModel(bytes, { uri: where, ...(labels === undefined ? {} : { labels }) });
}

/** @throws ImagemillError MODEL_NOT_FOUND, STORE_* */
export async function readModelFile(
  uri: string,
  resolver: StoreResolver,
): Promise<{ readonly bytes: Uint8Array; readonly where: string }> {
  const { store, key } = resolver.resolve(uri);
  const where = store.uriOf(key);
  const bytes = await store.get(key).catch((error: unknown) => {
    const missing = error instanceof ImagemillError && error.code === 'OBJECT_NOT_FOUND';
    throw missing
      ? new ImagemillError('MODEL_NOT_FOUND', `expected a model file at ${where}, found none`)
      : error;
  });
  return { bytes, where };
}
