import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import type { ObjectStore, StoreResolver } from '../../storage/object-store.ts';
import { MAX_URI_LENGTH } from './filtered-source.ts';
import type { ListedItem } from './listing.ts';

/** Longest line of a CSV or JSONL manifest, in bytes. */
export const MAX_LINE_BYTES = 1024 * 1024;
/** Longest label, in characters: what a shard document accepts. */
const MAX_LABEL_LENGTH = 1_024;

/** The manifest that is being read. */
export interface ManifestFile {
  readonly uri: string;
  readonly store: ObjectStore;
  readonly key: string;
  readonly bytes: number;
}

/** One row as its format gives it, not checked. */
export interface ManifestRow {
  readonly uri: unknown;
  readonly label: unknown;
  /** `line 17`, or `row 17` where the format has no lines. Both count from 1. */
  readonly place: string;
  /** Where the format's reader goes on after this row. */
  readonly position: readonly number[];
}

/** Reads one manifest format: pages of rows after `position`. */
export type ManifestReader = (
  file: ManifestFile,
  position: readonly number[] | undefined,
  signal: AbortSignal | undefined,
) => AsyncIterable<ManifestRow[]>;

export function manifestError(
  file: ManifestFile,
  place: string,
  fault: string,
  options?: ErrorOptions,
): ImagemillError {
  return new ImagemillError('MANIFEST_INVALID', `${file.uri} ${place}: ${fault}`, options);
}

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const label = z.union([z.string(), z.number(), z.bigint(), z.boolean()]).nullish();

/**
 * Checks rows and makes items of them. A URI without a scheme is a path: absolute, or relative to the manifest's folder.
 */
export class RowReader {
  readonly #file: ManifestFile;
  readonly #resolver: StoreResolver;
  /** Key of the manifest's folder, empty or ending in `/`. */
  readonly #folder: string;
  /** The folder's URI, ending in `/`: what lies below it is named relative to it. */
  readonly #folderUri: string;

  constructor(file: ManifestFile, resolver: StoreResolver) {
    this.#file = file;
    this.#resolver = resolver;
    this.#folder = file.key.slice(0, file.key.lastIndexOf('/') + 1);
    this.#folderUri = file.store.uriOf(`${this.#folder}_`).slice(0, -1);
  }

  /** @throws ImagemillError MANIFEST_INVALID with the row's place */
  read(row: ManifestRow): Omit<ListedItem, 'position'> {
    const written = this.#checkUri(row);
    const labelText = this.#checkLabel(row);
    const { uri, name } = this.#resolve(written, row.place);
    const item: Item = labelText === undefined ? { uri } : { uri, label: labelText };
    return { item, name };
  }

  #checkUri({ uri, place }: ManifestRow): string {
    if (typeof uri !== 'string') {
      throw manifestError(this.#file, place, `expected a "uri" that is a string, got ${describe(uri)}`);
    }
    if (uri.trim() === '') {
      throw manifestError(this.#file, place, 'expected a "uri", got an empty one');
    }
    if (uri.length > MAX_URI_LENGTH) {
      throw manifestError(
        this.#file,
        place,
        `expected a "uri" of at most ${MAX_URI_LENGTH} characters, got ${uri.length}`,
      );
    }
    if (uri.includes('\0')) {
      throw manifestError(this.#file, place, 'expected a "uri" without NUL characters');
    }
    if (/\p{Surrogate}/u.test(uri)) {
      throw manifestError(
        this.#file,
        place,
        'expected a "uri" of Unicode text, got half of a surrogate pair',
      );
    }
    return uri;
  }

  #checkLabel(row: ManifestRow): string | undefined {
    const result = label.safeParse(row.label);
    if (!result.success) {
      throw manifestError(
        this.#file,
        row.place,
        `expected a "label" that is a string or a number, got ${describe(row.label)}`,
      );
    }
    const text = result.data === undefined || result.data === null ? '' : String(result.data);
    if (text.length > MAX_LABEL_LENGTH) {
      throw manifestError(
        this.#file,
        row.place,
        `expected a "label" of at most ${MAX_LABEL_LENGTH} characters, got ${text.length}`,
      );
    }
    return text === '' ? undefined : text;
  }

  #resolve(written: string, place: string): { uri: string; name: string } {
    if (SCHEME.test(written) || written.startsWith('/')) {
      const uri = this.#absolute(written, place);
      const name = uri.startsWith(this.#folderUri)
        ? uri.slice(this.#folderUri.length)
        : uri.replace(SCHEME, '');
      return { uri, name };
    }
    const key = joinKey(this.#folder, written);
    if (key === null) {
      throw manifestError(
        this.#file,
        place,
        `expected a path below ${this.#file.store.rootUri}, got "${shorten(written)}"`,
      );
    }
    const name = key.startsWith(this.#folder) ? key.slice(this.#folder.length) : key;
    return { uri: this.#uri(place, () => this.#file.store.uriOf(key)), name };
  }

  #absolute(written: string, place: string): string {
    return this.#uri(place, () => {
      const { store, key } = this.#resolver.resolve(written);
      if (key === '' || key.endsWith('/')) {
        throw new ImagemillError('URI_INVALID', `expected an image, got the folder "${shorten(written)}"`);
      }
      return SCHEME.test(written) ? written : store.uriOf(key);
    });
  }

  #uri(place: string, make: () => string): string {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof ImagemillError) || error.code !== 'URI_INVALID') throw error;
      throw manifestError(this.#file, place, error.message, { cause: error });
    }
  }
}

/** A relative path as a key; null where it leads nowhere. Slashes in a row stay, since keys may have them. */
function joinKey(folder: string, relative: string): string | null {
  const parts = relative.split('/');
  if (!parts.some((part) => part === '.' || part === '..')) return `${folder}${relative}`;
  const key = folder === '' ? [] : folder.slice(0, -1).split('/');
  for (const part of parts) {
    if (part === '.') continue;
    if (part !== '..') key.push(part);
    else if (key.pop() === undefined) return null;
  }
  const joined = key.join('/');
  return joined === '' || joined.endsWith('/') ? null : joined;
}

function shorten(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'none';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
