import { ImagemillError } from '../contract/errors.ts';
import type { SourceSpec } from '../contract/run.ts';
import { openSource } from '../pipeline/source/open-source.ts';
import { validateManifest } from '../pipeline/source/validate-manifest.ts';
import type { ObjectStore, StoreResolver } from '../storage/object-store.ts';

/** An absolute URI: workers elsewhere must read the same place, whatever folder the command was typed in. */
export function canonicalUri(resolver: StoreResolver, uri: string): string {
  const { rootUri } = resolver.open(uri);
  // A set of tars is written with braces, which a file URI would encode.
  const plain = rootUri.replaceAll('%7B', '{').replaceAll('%7D', '}');
  return uri.endsWith('/') ? plain : plain.slice(0, -1);
}

/** @throws ImagemillError OUTPUT_INSIDE_SOURCE */
export function refuseOutputInsideSource(sourceUri: string, out: ObjectStore): void {
  const folder = sourceUri.endsWith('/') ? sourceUri : `${sourceUri}/`;
  if (out.rootUri.startsWith(folder)) {
    throw new ImagemillError(
      'OUTPUT_INSIDE_SOURCE',
      `expected an output outside the source ${folder}, got ${out.rootUri}`,
    );
  }
}

/** @throws ImagemillError SOURCE_EMPTY, SOURCE_NOT_FOUND, MANIFEST_INVALID */
export async function refuseEmptySource(spec: SourceSpec, resolver: StoreResolver): Promise<void> {
  await validateManifest(spec, resolver);
  const source = await openSource(spec, resolver);
  for await (const page of source.list()) if (page.length > 0) return;
  throw new ImagemillError('SOURCE_EMPTY', `expected images at ${spec.uri}, found none`);
}
