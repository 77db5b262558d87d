import type { z } from 'zod';
import { describeIssues } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import type { SourceCursor } from './source.ts';

/** Items per page of a listing, at most. */
export const PAGE_ITEMS = 1_000;

/** JSON that says where a listing goes on; only the kind of source that wrote it reads it. */
export type Position = string | number | readonly (string | number)[];

/** An item before filters. */
export interface ListedItem {
  readonly item: Item;
  /** What `include` and `exclude` are matched against: the key relative to the source. */
  readonly name: string;
  /** Where the listing goes on after this item. */
  readonly position: Position;
}

/** One kind of collection, without filters and limit: those are the same for every kind. */
export interface Listing {
  /** Which names are images where the user gave no `include`; every name where undefined. */
  readonly isImage?: (name: string) => boolean;
  /** Pages of items after `position`, in a fixed order. Memory does not grow with the number of pages. */
  list(position: unknown, signal?: AbortSignal): AsyncIterable<ListedItem[]>;
}

/**
 * Checks a position that comes back from a cursor.
 * @throws ImagemillError CONTRACT_INVALID
 */
export function parsePosition<S extends z.ZodType>(schema: S, position: unknown): z.infer<S> {
  const result = schema.safeParse(position);
  if (result.success) return result.data;
  throw new ImagemillError(
    'CONTRACT_INVALID',
    `source cursor: expected one made by this source, got another (${describeIssues(result.error)})`,
  );
}

/**
 * Checks a cursor that was written as JSON.
 * @throws ImagemillError CONTRACT_INVALID
 */
export function parseCursor<S extends z.ZodType>(schema: S, cursor: SourceCursor): z.infer<S> {
  let value: unknown;
  try {
    value = JSON.parse(cursor);
  } catch {
    value = cursor;
  }
  return parsePosition(schema, value);
}

/** A failure of a store, told in terms of the source: what does not exist is the source. */
export function asSourceError(error: unknown, uri: string): unknown {
  if (!(error instanceof ImagemillError)) return error;
  if (error.code !== 'STORE_NOT_FOUND' && error.code !== 'OBJECT_NOT_FOUND') return error;
  return new ImagemillError('SOURCE_NOT_FOUND', `expected images at ${uri}: ${error.message}`, {
    cause: error,
  });
}

/** Passes a store's pages on; what the store says does not exist becomes SOURCE_NOT_FOUND. */
export async function* asSourcePages<T>(pages: AsyncIterable<T>, uri: string): AsyncGenerator<T> {
  try {
    yield* pages;
  } catch (error) {
    throw asSourceError(error, uri);
  }
}
