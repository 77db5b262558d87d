import picomatch from 'picomatch';
import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import { parseCursor, type Listing } from './listing.ts';
import type { Source, SourceEntry } from './source.ts';

/** Longest URI of an item, in characters: what a shard document accepts. */
export const MAX_URI_LENGTH = 8_192;

/** What narrows a collection, whatever its kind. An empty list is the same as none. */
export interface ItemFilters {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  /** Items taken at most, counted after `include` and `exclude`. */
  readonly limit?: number | undefined;
}

/** Items taken so far, and the position of the last one. */
const cursorSchema = z.tuple([z.number().int().nonnegative(), z.unknown()]);

/**
 * Adds `include`, `exclude` and `limit` to a listing. A pattern without a slash is matched against the last part
 * of a name, as in .gitignore; a pattern that ends in a slash stands for everything below that folder.
 * @throws ImagemillError USAGE where a pattern or the limit cannot be used
 */
export function filteredSource(listing: Listing, filters: ItemFilters): Source {
  const accepts = compileFilters(listing, filters);
  const limit = filters.limit ?? Infinity;
  if (limit !== Infinity && !(Number.isSafeInteger(limit) && limit > 0)) {
    throw new ImagemillError('USAGE', `limit: expected a whole number above 0, got ${limit}`);
  }

  return {
    async *list(cursor, signal) {
      const [before, position] = cursor === undefined ? [0, undefined] : parseCursor(cursorSchema, cursor);
      let taken = before;
      if (taken >= limit) return;
      for await (const page of listing.list(position, signal)) {
        signal?.throwIfAborted();
        const entries: SourceEntry[] = [];
        for (const listed of page) {
          if (!accepts(listed.name)) continue;
          checkUri(listed.item.uri);
          taken += 1;
          entries.push({ item: listed.item, cursor: JSON.stringify([taken, listed.position]) });
          if (taken >= limit) break;
        }
        if (entries.length > 0) yield entries;
        if (taken >= limit) return;
      }
    },
  };
}

function compileFilters(listing: Listing, filters: ItemFilters): (name: string) => boolean {
  const include = filters.include ?? [];
  const isIncluded =
    include.length > 0 ? compileGlobs('include', include) : (listing.isImage ?? (() => true));
  const isExcluded = compileGlobs('exclude', filters.exclude ?? []);
  return (name) => isIncluded(name) && !isExcluded(name);
}

function compileGlobs(option: string, globs: readonly string[]): (name: string) => boolean {
  const matchers = globs.map((glob) => {
    const pattern = glob.endsWith('/') ? `${glob}**` : glob;
    try {
      // picomatch's `basename` ignores the folders of every pattern, so it is set for those that name none.
      return picomatch(pattern, { dot: true, basename: !pattern.includes('/') });
    } catch (error) {
      throw new ImagemillError(
        'USAGE',
        `${option}: expected a glob such as "**/*.jpg", got "${glob}" (${(error as Error).message})`,
      );
    }
  });
  return (name) => matchers.some((matches) => matches(name));
}

function checkUri(uri: string): void {
  if (uri.length <= MAX_URI_LENGTH) return;
  throw new ImagemillError(
    'URI_INVALID',
    `expected URIs of at most ${MAX_URI_LENGTH} characters, got one of ${uri.length}: ${uri.slice(0, 200)}…`,
  );
}
