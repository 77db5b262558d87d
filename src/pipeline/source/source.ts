import type { Item } from '../../contract/item.ts';

/** Where a listing goes on; opaque to everyone but the source that made it, JSON-serialisable, a few hundred bytes. */
export type SourceCursor = string;

/** An item and the cursor from which the listing continues after it. */
export interface SourceEntry {
  readonly item: Item;
  readonly cursor: SourceCursor;
}

/**
 * A collection to be listed: a prefix, a manifest, or WebDataset tars.
 * Listing is a stream in a fixed order: memory stays flat, and a cursor resumes it exactly.
 */
export interface Source {
  /** Pages of entries after `cursor` (from the start where it is undefined); empty pages do not occur. */
  list(cursor?: SourceCursor, signal?: AbortSignal): AsyncIterable<SourceEntry[]>;
}
