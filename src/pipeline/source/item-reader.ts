import { ImageError, ImagemillError, type ItemErrorCode } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import type { ShardedRun } from '../../contract/run.ts';
import type { GetOptions, ObjectStore, ResolvedObject, StoreResolver } from '../../storage/object-store.ts';

/** Fetches the encoded bytes of items. */
export interface ItemReader {
  /**
   * @returns the bytes of the item: the whole object, or its range of a tar
   * @throws ImageError ITEM_NOT_FOUND, ITEM_ACCESS_DENIED, ITEM_URI_INVALID, IMAGE_TOO_MANY_BYTES, IMAGE_TRUNCATED
   * @throws ImagemillError STORE_UNREACHABLE, STORE_UNAVAILABLE: the shard is to be tried again
   */
  read(item: Item, signal?: AbortSignal): Promise<Uint8Array>;
}

export interface ItemReaderLimits {
  /** Bytes of an encoded image. */
  readonly maxBytes: number;
}

export interface ItemReaderPolicy {
  /** Whether items may name files of this machine: a manifest must not make a worker read its own disk. */
  readonly allowFile: boolean;
}

/** What a store's answer about one object means for the item; anything else is about the store. */
const ITEM_ERRORS: Partial<Record<ImagemillError['code'], ItemErrorCode>> = {
  OBJECT_NOT_FOUND: 'ITEM_NOT_FOUND',
  STORE_NOT_FOUND: 'ITEM_NOT_FOUND',
  STORE_ACCESS_DENIED: 'ITEM_ACCESS_DENIED',
  URI_INVALID: 'ITEM_URI_INVALID',
};

/** @param policy files are refused where it does not allow them */
export function createItemReader(
  resolver: StoreResolver,
  limits: ItemReaderLimits,
  policy: ItemReaderPolicy = { allowFile: false },
): ItemReader {
  const { maxBytes } = limits;

  function locate(item: Item): ResolvedObject {
    const located = resolver.resolve(item.within?.uri ?? item.uri);
    if (!policy.allowFile && located.store.rootUri.startsWith('file:')) {
      throw new ImageError(
        'ITEM_URI_INVALID',
        `${item.uri}: expected an object of a store, got a file, which this worker does not read`,
      );
    }
    return located;
  }

  async function fetchItem(item: Item, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { store, key } = locate(item);
    const bytes = item.within?.bytes ?? item.bytes;
    if (bytes !== undefined && bytes > maxBytes) throw tooManyBytes(item, bytes, maxBytes);
    const options: GetOptions = signal === undefined ? {} : { signal };
    if (item.within !== undefined) return fetchMember(store, key, item.within, item.uri, options);
    if (bytes === undefined) return fetchUpTo(store, key, item, maxBytes, options);
    const body = await store.get(key, options);
    // The object may have grown since it was listed.
    if (body.length > maxBytes) throw tooManyBytes(item, body.length, maxBytes);
    return body;
  }

  return {
    async read(item, signal) {
      try {
        return await fetchItem(item, signal);
      } catch (error) {
        if (!(error instanceof ImagemillError)) throw error;
        const code = ITEM_ERRORS[error.code];
        throw code === undefined ? error : new ImageError(code, error.message, { cause: error });
      }
    },
  };
}

/** Reads the items of a run's shards. */
export function createRunReader(
  { spec }: ShardedRun,
  resolver: StoreResolver,
  limits: ItemReaderLimits,
): ItemReader {
  // Whoever submitted a local folder meant this machine's files; a manifest elsewhere must not reach for them.
  return createItemReader(resolver, limits, { allowFile: spec.source.uri.startsWith('file:') });
}

async function fetchMember(
  store: ObjectStore,
  key: string,
  within: { readonly offset: number; readonly bytes: number },
  uri: string,
  options: GetOptions,
): Promise<Uint8Array> {
  // Stores refuse ranges without bytes.
  if (within.bytes === 0) return new Uint8Array(0);
  const range = { offset: within.offset, length: within.bytes };
  const body = await store.get(key, { ...options, range });
  if (body.length === within.bytes) return body;
  throw new ImageError(
    'IMAGE_TRUNCATED',
    `${uri}: expected ${within.bytes} bytes at ${within.offset}, got ${body.length}`,
  );
}

/** Streams an object of unknown size, and stops at the limit: one request, and no more memory than allowed. */
async function fetchUpTo(
  store: ObjectStore,
  key: string,
  item: Item,
  maxBytes: number,
  options: GetOptions,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of await store.getStream(key, options)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) throw tooManyBytes(item, length, maxBytes);
  }
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, length);
}

function tooManyBytes(item: Item, bytes: number, maxBytes: number): ImageError {
  return new ImageError(
    'IMAGE_TOO_MANY_BYTES',
    `${item.uri}: expected at most ${maxBytes} bytes, got ${bytes} or more`,
  );
}
