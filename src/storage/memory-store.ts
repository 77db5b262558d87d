import { ImagemillError } from '../contract/errors.ts';
import { untilAborted } from './abort.ts';
import { spanOf } from './byte-range.ts';
import { utf8Order } from './key-order.ts';
import type { GetOptions, ListOptions, ObjectInfo, ObjectStore } from './object-store.ts';

const PAGE_KEYS = 1000;
const STREAM_CHUNK_BYTES = 256 * 1024;

interface StoredObject {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly modifiedAt: Date;
}

/** The objects of one `memory://name/`, shared by every store opened below it. */
export class MemoryBucket {
  readonly name: string;
  readonly objects = new Map<string, StoredObject>();
  #writes = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Stores a copy of `body`. */
  write(key: string, body: Uint8Array): void {
    this.#writes += 1;
    this.objects.set(key, { body: body.slice(), etag: String(this.#writes), modifiedAt: new Date() });
  }
}

/** A store in the memory of this process, for unit tests. */
export class MemoryStore implements ObjectStore {
  readonly rootUri: string;
  readonly #bucket: MemoryBucket;
  readonly #prefix: string;

  /** @param prefix empty, or ends in `/` */
  constructor(bucket: MemoryBucket, prefix = '') {
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.rootUri = `memory://${bucket.name}/${prefix}`;
  }

  uriOf(key: string): string {
    return this.rootUri + key;
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    const { body } = this.#find(key);
    const { start, end } = spanOf(options.range, body.length);
    return body.slice(start, end);
  }

  async getStream(key: string, options: GetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    const body = await this.get(key, options);
    return untilAborted(pieces(body), options.signal);
  }

  async head(key: string): Promise<ObjectInfo | null> {
    this.#checkKey(key);
    const found = this.#bucket.objects.get(this.#prefix + key);
    return found === undefined ? null : infoOf(key, found);
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo[]> {
    options.signal?.throwIfAborted();
    const after = utf8Order(options.startAfter ?? '');
    const keys = [...this.#bucket.objects.keys()]
      .filter((key) => key.startsWith(this.#prefix + prefix))
      .map((key) => key.slice(this.#prefix.length))
      .map((key) => ({ key, order: utf8Order(key) }))
      .filter(({ order }) => order > after)
      .sort((a, b) => (a.order < b.order ? -1 : 1));
    for (let first = 0; first < keys.length; first += PAGE_KEYS) {
      options.signal?.throwIfAborted();
      const page = keys.slice(first, first + PAGE_KEYS).flatMap(({ key }) => {
        const found = this.#bucket.objects.get(this.#prefix + key);
        return found === undefined ? [] : [infoOf(key, found)];
      });
      if (page.length > 0) yield page;
    }
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    this.#checkKey(key);
    this.#bucket.write(this.#prefix + key, body);
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    this.#checkKey(key);
    if (this.#bucket.objects.has(this.#prefix + key)) return false;
    this.#bucket.write(this.#prefix + key, body);
    return true;
  }

  async putStream(key: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<number> {
    this.#checkKey(key);
    const parts: Uint8Array[] = [];
    for await (const chunk of untilAborted(chunks, signal)) parts.push(chunk.slice());
    const body = Buffer.concat(parts);
    this.#bucket.write(this.#prefix + key, new Uint8Array(body));
    return body.length;
  }

  /** Writes to memory are never interrupted. */
  async discardUnfinished(): Promise<number> {
    return 0;
  }

  async delete(key: string): Promise<void> {
    this.#checkKey(key);
    this.#bucket.objects.delete(this.#prefix + key);
  }

  #find(key: string): StoredObject {
    this.#checkKey(key);
    const found = this.#bucket.objects.get(this.#prefix + key);
    if (found !== undefined) return found;
    throw new ImagemillError('OBJECT_NOT_FOUND', `expected an object at ${this.uriOf(key)}, got none`);
  }

  #checkKey(key: string): void {
    if (key !== '' && !/\p{Surrogate}/u.test(key)) return;
    const found = key === '' ? 'an empty one' : 'one with half of a surrogate pair';
    throw new ImagemillError('URI_INVALID', `expected a key below ${this.rootUri}, got ${found}`);
  }
}

function infoOf(key: string, found: StoredObject): ObjectInfo {
  return { key, bytes: found.body.length, etag: found.etag, modifiedAt: found.modifiedAt };
}

async function* pieces(body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < body.length; start += STREAM_CHUNK_BYTES) {
    yield body.subarray(start, start + STREAM_CHUNK_BYTES);
  }
}
