import type { SubmitRun } from '../../contract/api/submit.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { StoreResolver } from '../../storage/object-store.ts';

const LOCATION_FIELDS = ['source', 'dataset', 'model', 'labels', 'init', 'out'] as const;

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
 * be able to read the files of this machine.
 * @param allowed locations, with all that lies below them; null: any
 * @throws ImagemillError LOCATION_REFUSED, URI_INVALID
 */
export function checkLocations(
  request: SubmitRun,
  allowed: readonly string[] | null,
  resolver: StoreResolver,
): void {
  if (allowed === null) return;
  const roots = allowed.map((location) =>
    location === 's3://' ? location : resolver.open(location).rootUri,
  );
  for (const [field, location] of locationsOf(request)) {
    // Opened as a folder, so that `..` and doubled slashes are gone before it is compared.
    const { rootUri } = resolver.open(location);
    if (roots.some((root) => rootUri.startsWith(root))) continue;
    throw new ImagemillError(
      'LOCATION_REFUSED',
      `${field}: expected a location below ${allowed.join(', ')}, got ${location}`,
    );
  }
}
