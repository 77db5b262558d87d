import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImagemillError } from '../contract/errors.ts';
import { CountedChunks } from './abort.ts';
import { checkRange, spanOf } from './byte-range.ts';
import { errnoOf, fileStoreError, meansAbsent } from './file-errors.ts';
import { removeTemporaryFiles } from './file-leftovers.ts';
import { describeFile, listFiles, TEMPORARY_PREFIX } from './file-listing.ts';
import type { GetOptions, ListOptions, ObjectInfo, ObjectStore } from './object-store.ts';

const STREAM_CHUNK_BYTES = 256 * 1024;
/** One read(2) moves less than 2 GiB. */
const READ_BYTES = 1024 ** 3;
/** Errnos of link(2) on a file system without hard links. */
const NO_HARD_LINKS = new Set(['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK']);

type Write = (file: FileHandle) => Promise<void>;

/** A store below a folder of a POSIX file system; folders appear on demand. */
export class FileStore implements ObjectStore {
  readonly rootUri: string;
  readonly #root: string;

  /** @param root absolute, normalised path without a trailing `/` (except `/` itself) */
  constructor(root: string) {
    this.#root = root;
    this.rootUri = fileUriOf(root === '/' ? '/' : `${root}/`);
  }

  uriOf(key: string): string {
    return fileUriOf(this.#pathOf(key));
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const path = this.#pathOf(key);
    options.signal?.throwIfAborted();
    const { file, bytes } = await openObject(path);
    try {
      const { start, end } = spanOf(options.range, bytes);
      const body = new Uint8Array(end - start);
      let filled = 0;
      while (filled < body.length) {
        const length = Math.min(body.length - filled, READ_BYTES);
        const { bytesRead } = await file.read(body, filled, length, start + filled);
        options.signal?.throwIfAborted();
        // The file was cut since it was opened.
        if (bytesRead === 0) return body.slice(0, filled);
        filled += bytesRead;
      }
      return body;
    } catch (error) {
      throw fileStoreError(error, { action: 'read', path });
    } finally {
      await file.close();
    }
  }

  /** The file stays open until the stream has been read to its end or given up. */
  async getStream(key: string, options: GetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    const path = this.#pathOf(key);
    options.signal?.throwIfAborted();
    if (options.range !== undefined) checkRange(options.range);
    const { file, bytes } = await openObject(path);
    return readChunks(file, path, bytes, options);
  }

  async head(key: string): Promise<ObjectInfo | null> {
    return describeFile(this.#pathOf(key), key);
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectInfo[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (folder !== '') this.#pathOf(folder.slice(0, -1));
    return listFiles(this.#root, prefix, options);
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#replace(key, (file) => writeAll(file, body));
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    const path = this.#pathOf(key);
    if ((await describeFile(path, key)) !== null) return false;
    const write: Write = (file) => writeAll(file, body);
    try {
      const temporary = await writeTemporary(path, write);
      try {
        await link(temporary, path);
      } catch (error) {
        const errno = errnoOf(error) ?? '';
        if (errno === 'EEXIST') return await isNotAFolder(path);
        if (!NO_HARD_LINKS.has(errno)) throw error;
        if (!(await createExclusively(path, write))) return false;
      } finally {
        await rm(temporary, { force: true });
      }
      await syncFolder(dirname(path));
      return true;
    } catch (error) {
      throw fileStoreError(error, { action: 'create', path });
    }
  }

  async putStream(key: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<number> {
    const source = new CountedChunks(chunks, signal);
    try {
      await this.#replace(key, async (file) => {
        for await (const chunk of source) await writeAll(file, chunk);
      });
    } catch (error) {
      throw source.failure === undefined ? error : source.failure.reason;
    }
    return source.bytes;
  }

  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key);
    try {
      await unlink(path);
    } catch (error) {
      if (!meansAbsent(error)) throw fileStoreError(error, { action: 'delete', path });
    }
  }

  discardUnfinished(before: Date): Promise<number> {
    return removeTemporaryFiles(this.#root, before);
  }

  /** Writes beside the target and renames over it: readers see the old or the new object. */
  async #replace(key: string, write: Write): Promise<void> {
    const path = this.#pathOf(key);
    try {
      const temporary = await writeTemporary(path, write);
      try {
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      await syncFolder(dirname(path));
    } catch (error) {
      throw fileStoreError(error, { action: 'write', path });
    }
  }

  /** @throws ImagemillError URI_INVALID for a key that names no file below the root */
  #pathOf(key: string): string {
    const fault = key
      .split('/')
      .map(faultOfSegment)
      .find((found) => found !== null);
    if (fault === undefined) return `${this.#root === '/' ? '' : this.#root}/${key}`;
    throw new ImagemillError(
      'URI_INVALID',
      `expected a key that names a file below ${this.rootUri}, got ${JSON.stringify(key)}, which has ${fault}`,
    );
  }
}

function faultOfSegment(segment: string): string | null {
  if (segment === '') return 'an empty segment';
  if (segment === '.' || segment === '..') return `a segment ${JSON.stringify(segment)}`;
  if (segment.includes('\0')) return 'a NUL character';
  if (/\p{Surrogate}/u.test(segment)) return 'half of a surrogate pair';
  if (segment.startsWith(TEMPORARY_PREFIX)) return 'a name reserved for temporary files';
  return null;
}

/** `file://` URI of an absolute path. Leaves `/` and what a URI may hold readable; encodes everything else. */
function fileUriOf(path: string): string {
  return `file://${encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23')}`;
}

/** @throws ImagemillError OBJECT_NOT_FOUND where there is no regular file */
async function openObject(path: string): Promise<{ file: FileHandle; bytes: number }> {
  let found = 'nothing';
  try {
    // Without O_NONBLOCK opening a named pipe would hold a thread until someone writes to it.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (stats.isFile()) return { file, bytes: stats.size };
    await file.close();
    found = stats.isDirectory() ? 'a folder' : 'a special file';
  } catch (error) {
    if (!meansAbsent(error)) throw fileStoreError(error, { action: 'read', path });
  }
  throw new ImagemillError('OBJECT_NOT_FOUND', `expected a file at ${JSON.stringify(path)}, got ${found}`);
}

async function* readChunks(
  file: FileHandle,
  path: string,
  bytes: number,
  options: GetOptions,
): AsyncGenerator<Uint8Array> {
  try {
    const span = spanOf(options.range, bytes);
    for (let position = span.start; position < span.end;) {
      options.signal?.throwIfAborted();
      const chunk = new Uint8Array(Math.min(STREAM_CHUNK_BYTES, span.end - position));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  } catch (error) {
    throw fileStoreError(error, { action: 'read', path });
  } finally {
    await file.close();
  }
}

/** Writes and syncs a new file in the target's folder. @returns its path */
async function writeTemporary(target: string, write: Write): Promise<string> {
  const folder = dirname(target);
  await makeFolder(folder);
  const temporary = `${folder}/${TEMPORARY_PREFIX}${randomUUID()}`;
  await writeNew(temporary, write);
  return temporary;
}

/**
 * Creates a file where the file system cannot link: exclusive, but for the time of the write others can see a part.
 * @returns false where a file was there
 */
async function createExclusively(path: string, write: Write): Promise<boolean> {
  try {
    await writeNew(path, write);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return isNotAFolder(path);
    throw error;
  }
}

/** Creates, writes and syncs; a failure after the creation removes the file again. */
async function writeNew(path: string, write: Write): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await write(file);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, body: Uint8Array): Promise<void> {
  for (let written = 0; written < body.length;) {
    const length = Math.min(body.length - written, READ_BYTES);
    written += (await file.write(body, written, length)).bytesWritten;
  }
}

/** @returns false, the answer of putIfAbsent where something other than a folder is in the way */
async function isNotAFolder(path: string): Promise<false> {
  const found = await stat(path).catch(() => null);
  if (found?.isDirectory() !== true) return false;
  throw new ImagemillError('URI_INVALID', `expected no folder at ${JSON.stringify(path)}, got one`);
}

/** Creates missing folders, each one's entry synced in its parent. */
async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems (FUSE, SMB) have no fsync for folders: the rename is as durable there as it gets.
    if (!['EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP'].includes(errnoOf(error) ?? '')) throw error;
  } finally {
    await handle.close();
  }
}
