import { expect } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import type { Source, SourceEntry } from '../../../src/pipeline/source/source.ts';
import { FileStore } from '../../../src/storage/file-store.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';
import type { ObjectStore, StoreResolver } from '../../../src/storage/object-store.ts';

/** A resolver over memory and files; stores can be replaced by name to count requests or to fail. */
export class TestStores implements StoreResolver {
  readonly buckets = new Map<string, MemoryBucket>();
  readonly replaced = new Map<string, ObjectStore>();

  bucket(name: string): MemoryBucket {
    const bucket = this.buckets.get(name) ?? new MemoryBucket(name);
    this.buckets.set(name, bucket);
    return bucket;
  }

  put(uri: string, body: Uint8Array | string = 'x'): void {
    const { name, key } = splitMemoryUri(uri);
    this.bucket(name).write(key, typeof body === 'string' ? Buffer.from(body) : body);
  }

  open(uri: string): ObjectStore {
    if (!uri.startsWith('memory://')) return new FileStore(pathOf(uri).replace(/(?<=.)\/$/, ''));
    const { name, key } = splitMemoryUri(uri);
    const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
    return this.replaced.get(name) ?? new MemoryStore(this.bucket(name), prefix);
  }

  resolve(uri: string): { store: ObjectStore; key: string } {
    if (!uri.startsWith('memory://')) return { store: new FileStore('/'), key: pathOf(uri).slice(1) };
    const { name, key } = splitMemoryUri(uri);
    if (key === '') throw new ImagemillError('URI_INVALID', `expected an object, got a folder in ${uri}`);
    return { store: this.replaced.get(name) ?? new MemoryStore(this.bucket(name)), key };
  }

  close(): void {}
}

function splitMemoryUri(uri: string): { name: string; key: string } {
  const [, name = '', key = ''] = /^memory:\/\/([^/]+)\/?(.*)$/s.exec(uri) ?? [];
  return { name, key };
}

function pathOf(uri: string): string {
  if (uri.startsWith('file://')) return decodeURIComponent(uri.slice('file://'.length));
  if (uri.startsWith('/')) return uri;
  throw new ImagemillError('URI_INVALID', `expected memory://, file:// or a path, got ${uri}`);
}

export async function collect(source: Source, cursor?: string): Promise<SourceEntry[]> {
  const entries: SourceEntry[] = [];
  for await (const page of source.list(cursor)) {
    expect(page.length).toBeGreaterThan(0);
    entries.push(...page);
  }
  return entries;
}

export async function urisOf(source: Source): Promise<string[]> {
  return (await collect(source)).map(({ item }) => item.uri);
}

/** A cursor after any entry continues with exactly the entries after it; checked at up to `checks` places. */
export async function expectResumable(source: Source, checks = 25): Promise<SourceEntry[]> {
  const all = await collect(source);
  const step = Math.max(1, Math.floor(all.length / checks));
  for (let index = 0; index < all.length; index += step) {
    expect(await collect(source, all[index]?.cursor)).toEqual(all.slice(index + 1));
  }
  return all;
}

/** The error that a promise rejects with; fails where it does not, or with anything that has no code. */
export async function errorOf(promise: Promise<unknown>): Promise<ImagemillError> {
  const outcome = await promise.then(
    () => 'success',
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(ImagemillError);
  return outcome as ImagemillError;
}
