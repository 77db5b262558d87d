import type { SubmitRun } from '../../contract/api/submit.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { StoreResolver } from '../../storage/object-store.ts';

const LOCATION_FIELDS = ['source', 'dataset', 'model', 'labels', 'init', 'out'] as const;
/** Every bucket, and no file. */
const ANY_BUCKET = 's3://';
/** A file URI has no such segments any more; a key may, and a proxy before the store may take them for folders. */
const DOT_SEGMENT = /(^|\/)\.{1,2}(\/|$)/;
/** Names of several tars differ in their last segment; elsewhere braces could spell `..`. */
const BRACE_IN_FOLDER = /(\{|%7B)[^/]*\//i;

/**
 * The roots of what a dashboard lets its users name.
 * @param allowed locations as they were configured; null: any
 * @throws ImagemillError URI_INVALID
 */
export function allowedRoots(allowed: readonly string[] | null, resolver: StoreResolver): string[] | null {
  if (allowed === null) return null;
  return allowed.map((location) =>
    location.toLowerCase() === ANY_BUCKET ? ANY_BUCKET : resolver.open(location).rootUri,
  );
}

/** Every location that a request names, by the name of its field. */
function locationsOf(request: SubmitRun): [field: string, location: string][] {
  const fields: Partial<Record<(typeof LOCATION_FIELDS)[number], string | undefined>> = request;
  return LOCATION_FIELDS.flatMap((field) => {
    const location = fields[field];
    return location === undefined ? [] : [[field, location] as [string, string]];
  });
}

/**
 * Refuses a request that names a location outside of the allowed ones: whoever may submit runs from elsewhere need not
 * be able to read the files of this machine. Links inside of an allowed folder are followed, and the rows of a manifest
 * are not looked at: both were put there by someone who may write to it.
 * @param roots as {@link allowedRoots} gives them: allowed is what lies below one; null: any
 * @throws ImagemillError LOCATION_REFUSED, URI_INVALID
 */
export function checkLocations(
  request: SubmitRun,
  roots: readonly string[] | null,
  resolver: StoreResolver,
): void {
  if (roots === null) return;
  for (const [field, location] of locationsOf(request)) {
    // Opened as a folder, so that `..` in a path is gone, and `s3://bucketeer` is not below `s3://bucket`.
    const { rootUri } = resolver.open(location);
    const isPlain = !DOT_SEGMENT.test(rootUri) && !BRACE_IN_FOLDER.test(rootUri.slice(0, -1));
    if (isPlain && roots.some((root) => rootUri.startsWith(root))) continue;
    throw new ImagemillError(
      'LOCATION_REFUSED',
      `${field}: expected a location below ${roots.join(', ')}, got ${location}`,
    );
  }
}
