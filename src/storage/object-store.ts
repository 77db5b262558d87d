/** A byte range of an object: `offset` and `length` in bytes. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface ObjectInfo {
  /** Relative to the store's root, `/`-separated. */
  readonly key: string;
  readonly bytes: number;
  /** Changes whenever the content does; opaque. */
  readonly etag: string;
  readonly modifiedAt: Date;
}

export interface GetOptions {
  readonly range?: ByteRange;
  readonly signal?: AbortSignal;
}

export interface ListOptions {
  /** Only keys that sort after this one, in the order of their UTF-8 bytes. */
  readonly startAfter?: string;
  readonly signal?: AbortSignal;
}

/**
 * A flat namespace of objects below one root (a bucket's prefix, a folder, or memory).
 * Keys are relative to that root, never start with `/`, and list in the order of their UTF-8 bytes on every store.
 *
 * Every method rejects with an ImagemillError: `OBJECT_NOT_FOUND` (get, getStream), `STORE_UNREACHABLE`,
 * `STORE_UNAVAILABLE`, `STORE_ACCESS_DENIED`, `STORE_NOT_FOUND`, `STORE_FULL`; the message names the address.
 * An aborted signal rejects with the signal's reason.
 */
export interface ObjectStore {
  /** Root as a URI that ends in `/`: `s3://bucket/prefix/`, `file:///folder/`, `memory://name/`. */
  readonly rootUri: string;
  /** Full URI of a key; the inverse of resolving it. */
  uriOf(key: string): string;
  get(key: string, options?: GetOptions): Promise<Uint8Array>;
  getStream(key: string, options?: GetOptions): Promise<AsyncIterable<Uint8Array>>;
  /** null where the object does not exist. */
  head(key: string): Promise<ObjectInfo | null>;
  /** Pages of at most 1,000 objects, recursive, in key order; memory does not grow with the number of pages. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo[]>;
  /** Creates or replaces, atomically: readers see the old or the new object, never a piece. */
  put(key: string, body: Uint8Array): Promise<void>;
  /**
   * Creates the object only if none exists, atomically and durably (If-None-Match: *).
   * @returns true if this call created it; false if an object was there, untouched.
   *   After a lost reply and a retry, one's own success can read as false: compare what is stored.
   */
  putIfAbsent(key: string, body: Uint8Array): Promise<boolean>;
  /** Streams an object of unknown size (multipart); on failure nothing is left visible. @returns bytes written */
  putStream(key: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<number>;
  /** Succeeds where the object does not exist. */
  delete(key: string): Promise<void>;
  /**
   * Removes what interrupted writes left behind below the root (temporary files, unfinished multipart uploads) where
   * it was begun before a time. Objects are never touched.
   * @returns how many were removed
   */
  discardUnfinished(before: Date): Promise<number>;
}

/** Where an absolute URI leads. */
export interface ResolvedObject {
  readonly store: ObjectStore;
  readonly key: string;
}

/**
 * Opens stores by URI and shares their connections.
 * Accepts `s3://bucket/key`, `file:///path`, a plain path, and `memory://name/key` (tests).
 */
export interface StoreResolver {
  /** The store rooted at a location, whether or not it ends in `/`. @throws ImagemillError URI_INVALID */
  open(uri: string): ObjectStore;
  /** The object a URI names: `store` is rooted at the bucket or at the file system's root. @throws ImagemillError URI_INVALID */
  resolve(uri: string): ResolvedObject;
  /** Ends idle connections. */
  close(): void;
}
