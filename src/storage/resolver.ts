import { resolve as resolvePath } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { S3Settings } from '../config/environment.ts';
import { ImagemillError } from '../contract/errors.ts';
import { FileStore } from './file-store.ts';
import { MemoryBucket, MemoryStore } from './memory-store.ts';
import type { ObjectStore, ResolvedObject, StoreResolver } from './object-store.ts';
import { S3Connection, type S3Credentials } from './s3-connection.ts';
import { S3Store } from './s3-store.ts';

export interface StoreSettings {
  readonly s3: S3Settings;
  /** In place of the SDK's own chain (environment, profile, role). */
  readonly s3Credentials?: S3Credentials;
}

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;
/** `s3:bucket` or `file:/x` is a slip of the keyboard, not a path. */
const SCHEME_WITHOUT_SLASHES = /^(s3|file|memory|https?):/i;
/** Letters of old buckets and of other servers included; excludes `user:password@`. */
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,254}$/i;
const FORMS = 's3://bucket/key, file:///path or a path';

interface Location {
  readonly kind: 's3' | 'memory' | 'file';
  /** Bucket or name; empty for files. */
  readonly container: string;
  /** Key, or absolute path without a trailing `/`. */
  readonly path: string;
  /** Whether the URI ends in `/`, as a folder's does. */
  readonly folder: boolean;
}

/** @returns a resolver whose stores share one S3 client and, by name, the contents of `memory://` */
export function createStoreResolver(settings: StoreSettings): StoreResolver {
  const connection = new S3Connection(settings.s3, settings.s3Credentials);
  const buckets = new Map<string, MemoryBucket>();
  const memoryBucket = (name: string): MemoryBucket => {
    const bucket = buckets.get(name) ?? new MemoryBucket(name);
    buckets.set(name, bucket);
    return bucket;
  };
  const storeAt = (location: Location, prefix: string): ObjectStore => {
    if (location.kind === 's3') return new S3Store(connection, location.container, prefix);
    if (location.kind === 'memory') return new MemoryStore(memoryBucket(location.container), prefix);
    return new FileStore(prefix);
  };
  return {
    open(uri: string): ObjectStore {
      const location = parseLocation(uri);
      const isPrefix = location.kind !== 'file' && location.path !== '' && !location.folder;
      return storeAt(location, isPrefix ? `${location.path}/` : location.path);
    },
    resolve(uri: string): ResolvedObject {
      const location = parseLocation(uri);
      const isFile = location.kind === 'file';
      const key = isFile ? location.path.slice(1) : location.path;
      if (key === '' || (isFile && location.folder)) throw invalid(uri, 'a folder where an object is needed');
      return { store: storeAt(location, isFile ? '/' : ''), key };
    },
    close: () => connection.close(),
  };
}

function parseLocation(uri: string): Location {
  if (uri === '') throw invalid(uri, 'nothing');
  if (/\0|^file:.*%00/i.test(uri)) throw invalid(uri, 'a NUL character');
  if (/\p{Surrogate}/u.test(uri)) throw invalid(uri, 'half of a surrogate pair');
  const scheme = SCHEME.exec(uri)?.[1]?.toLowerCase();
  if (scheme === 's3' || scheme === 'memory') return parseContainer(scheme, uri);
  if (scheme === 'file') return pathLocation(pathOfFileUri(uri));
  if (scheme !== undefined) throw invalid(uri, `the scheme ${scheme}://`);
  if (SCHEME_WITHOUT_SLASHES.test(uri)) throw invalid(uri, 'a scheme without //');
  return pathLocation(uri);
}

function parseContainer(kind: 's3' | 'memory', uri: string): Location {
  const rest = uri.slice(`${kind}://`.length);
  const slash = rest.indexOf('/');
  const container = slash === -1 ? rest : rest.slice(0, slash);
  const path = slash === -1 ? '' : rest.slice(slash + 1);
  if (container === '') throw invalid(uri, 'no bucket');
  if (kind === 's3' && !BUCKET.test(container))
    throw invalid(uri, 'something that cannot be the name of a bucket');
  return { kind, container, path, folder: path === '' || path.endsWith('/') };
}

function pathLocation(path: string): Location {
  return {
    kind: 'file',
    container: '',
    path: resolvePath(path),
    folder: /(^|\/)\.{0,2}$/.test(path),
  };
}

function pathOfFileUri(uri: string): string {
  // The URL parser would drop or reinterpret these in silence.
  if (/[?#\\\t\n\r]|\s$/.test(uri)) {
    throw invalid(uri, 'characters that must be percent-encoded (space, ?, #, \\)');
  }
  try {
    return fileURLToPath(uri);
  } catch {
    throw invalid(uri, 'a host, an encoded slash, or a broken percent-encoding');
  }
}

function invalid(uri: string, found: string): ImagemillError {
  return new ImagemillError(
    'URI_INVALID',
    `expected ${FORMS}, got ${found} in ${JSON.stringify(withoutUserInfo(uri))}`,
  );
}

/** `scheme://user:password@host` must not end up in a message; a password may have any character, `/` among them. */
function withoutUserInfo(uri: string): string {
  return uri.replace(/^([a-z][a-z0-9+.-]*:\/*)([^/]*|[^/]*:.*)@/is, '$1…@');
}
