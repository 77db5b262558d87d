import type { StoreResolver } from '../../storage/object-store.ts';
import { filteredSource } from './filtered-source.ts';
import { openListing, type SourceSpec } from './open-source.ts';

/**
 * Reads a manifest to its end (or to the spec's limit), so that a bad line is told before a run exists.
 * @returns the number of items after filters, or null where the source is not a manifest: nothing to be validated
 * @throws ImagemillError MANIFEST_INVALID with the first bad line, SOURCE_NOT_FOUND, URI_INVALID
 */
export async function validateManifest(
  spec: SourceSpec,
  resolver: StoreResolver,
  signal?: AbortSignal,
): Promise<{ items: number } | null> {
  const { kind, listing } = await openListing(spec, resolver);
  if (kind !== 'manifest') return null;
  let items = 0;
  for await (const page of filteredSource(listing, spec).list(undefined, signal)) items += page.length;
  return { items };
}
