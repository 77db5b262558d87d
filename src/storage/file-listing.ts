import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ImagemillError } from '../contract/errors.ts';
import { fileStoreError, meansAbsent } from './file-errors.ts';
import { folderEntries, SmallestNames } from './folder-window.ts';
import { fromUtf8Order, utf8Order } from './key-order.ts';
import type { ObjectInfo } from './object-store.ts';

/** Every file that is being written has a name that starts with this, and no listing shows it. */
export const TEMPORARY_PREFIX = '.imagemill-tmp-';

const PAGE_KEYS = 1000;
/**
 * Names of one folder held at a time. A folder with more is read again for each further window, so that memory
 * stays flat (tens of MB) however many files it has.
 */
const WINDOW_NAMES = 100_000;
const STATS_IN_FLIGHT = 32;

/** All keys and names here are in the form of {@link utf8Order}; a folder's ends in `/`. */
interface Listing {
  readonly root: string;
  readonly prefix: string;
  readonly after: string;
  readonly signal: AbortSignal | undefined;
  /** See {@link WINDOW_NAMES}. */
  readonly windowNames: number;
}

export interface FileListingOptions {
  readonly startAfter?: string;
  readonly signal?: AbortSignal;
  /** Names of one folder held at a time. */
  readonly windowNames?: number;
}

/**
 * Files below `root` whose key starts with `prefix`, in the order of the keys' UTF-8 bytes, in pages of at most
 * 1,000. Folders that hold only keys up to `startAfter` are not read. Links to files and folders are followed,
 * except to a folder that contains the link; dangling links, sockets and other special files are left out. A name
 * that is not UTF-8 is listed with U+FFFD in it, so that reading it fails and is recorded instead of passing unseen.
 * @param root absolute path without a trailing `/` (except the file system's root)
 * @throws ImagemillError STORE_NOT_FOUND where the root is not a folder
 */
export async function* listFiles(
  root: string,
  prefix: string,
  options: FileListingOptions = {},
): AsyncGenerator<ObjectInfo[]> {
  options.signal?.throwIfAborted();
  await checkRoot(root);
  const listing: Listing = {
    root,
    prefix: utf8Order(prefix),
    after: utf8Order(options.startAfter ?? ''),
    signal: options.signal,
    windowNames: options.windowNames ?? WINDOW_NAMES,
  };
  const start = listing.prefix.slice(0, listing.prefix.lastIndexOf('/') + 1);
  let page: string[] = [];
  for await (const keys of walk(listing, start, [])) {
    for (const key of keys) {
      page.push(key);
      if (page.length < PAGE_KEYS) continue;
      yield* describe(listing, page);
      page = [];
    }
  }
  yield* describe(listing, page);
}

async function checkRoot(root: string): Promise<void> {
  let found: string;
  try {
    if ((await stat(root)).isDirectory()) return;
    found = 'a file';
  } catch (error) {
    if (!meansAbsent(error)) throw fileStoreError(error, { action: 'list', path: root });
    found = 'nothing';
  }
  throw new ImagemillError('STORE_NOT_FOUND', `expected a folder at ${JSON.stringify(root)}, got ${found}`);
}

/** Keys of files in runs of any length; `folder` is empty or ends in `/`. */
async function* walk(
  listing: Listing,
  folder: string,
  ancestors: readonly string[],
): AsyncGenerator<string[]> {
  const identity = await identityOf(listing, folder);
  if (identity === null || ancestors.includes(identity)) return;
  const lineage = [...ancestors, identity];
  let last = '';
  for (;;) {
    const window = await readWindow(listing, folder, last);
    let run: string[] = [];
    for (const name of window.names) {
      listing.signal?.throwIfAborted();
      if (!name.endsWith('/')) {
        run.push(folder + name);
        continue;
      }
      if (run.length > 0) yield run;
      run = [];
      yield* walk(listing, folder + name, lineage);
    }
    if (run.length > 0) yield run;
    if (window.complete) return;
    last = window.names.at(-1) ?? last;
  }
}

/** Device and inode of a folder; null where it has gone or is no folder. */
async function identityOf(listing: Listing, folder: string): Promise<string | null> {
  try {
    const found = await stat(pathOf(listing, folder), { bigint: true });
    return found.isDirectory() ? `${found.dev}:${found.ino}` : null;
  } catch (error) {
    if (meansAbsent(error)) return null;
    throw fileStoreError(error, { action: 'list', path: nameOf(listing, folder) });
  }
}

interface NameWindow {
  readonly names: readonly string[];
  /** Whether no name of the folder follows the last one. */
  readonly complete: boolean;
}

/** The first names of a folder after `last`, sorted, of those that can lead to a key of the listing. */
async function readWindow(listing: Listing, folder: string, last: string): Promise<NameWindow> {
  const smallest = new SmallestNames(listing.windowNames);
  const wanted = (name: string): boolean =>
    name > last && smallest.accepts(name) && isWanted(listing, folder + name);
  try {
    for await (const entries of folderEntries(pathOf(listing, folder))) {
      listing.signal?.throwIfAborted();
      for (const entry of entries) {
        const { name } = entry;
        if (name.startsWith(TEMPORARY_PREFIX)) continue;
        if (entry.isFile()) {
          if (wanted(name)) smallest.add(name);
        } else if (entry.isDirectory()) {
          if (wanted(`${name}/`)) smallest.add(`${name}/`);
        } else if (entry.isSymbolicLink() && (wanted(name) || wanted(`${name}/`))) {
          const followed = await followLink(listing, folder, name);
          if (followed !== null && wanted(followed)) smallest.add(followed);
        }
      }
    }
  } catch (error) {
    if (!meansAbsent(error)) throw fileStoreError(error, { action: 'list', path: nameOf(listing, folder) });
  }
  return { names: smallest.finish(), complete: !smallest.truncated };
}

/** Whether a key, or some key below a folder, matches the prefix and comes after the start. */
function isWanted(listing: Listing, key: string): boolean {
  const { prefix, after } = listing;
  if (!key.endsWith('/')) return key.startsWith(prefix) && key > after;
  return (key.startsWith(prefix) || prefix.startsWith(key)) && (key > after || after.startsWith(key));
}

async function followLink(listing: Listing, folder: string, name: string): Promise<string | null> {
  try {
    const target = await stat(pathOf(listing, folder + name));
    if (target.isDirectory()) return `${name}/`;
    return target.isFile() ? name : null;
  } catch (error) {
    if (meansAbsent(error)) return null;
    throw fileStoreError(error, { action: 'list', path: nameOf(listing, folder + name) });
  }
}

/** One page, or none where every file has gone since its folder was read. */
async function* describe(listing: Listing, keys: readonly string[]): AsyncGenerator<ObjectInfo[]> {
  const page: ObjectInfo[] = [];
  for (let first = 0; first < keys.length; first += STATS_IN_FLIGHT) {
    listing.signal?.throwIfAborted();
    const batch = keys.slice(first, first + STATS_IN_FLIGHT);
    const infos = await Promise.all(
      batch.map((key) => describeFile(pathOf(listing, key), fromUtf8Order(key))),
    );
    page.push(...infos.filter((info) => info !== null));
  }
  if (page.length > 0) yield page;
}

/**
 * @returns null where there is no file
 * @throws ImagemillError as every method of a store
 */
export async function describeFile(path: string | Buffer, key: string): Promise<ObjectInfo | null> {
  let found: BigIntStats;
  try {
    found = await stat(path, { bigint: true });
  } catch (error) {
    if (meansAbsent(error)) return null;
    throw fileStoreError(error, { action: 'look at', path: path.toString() });
  }
  if (!found.isFile()) return null;
  return {
    key,
    bytes: Number(found.size),
    // The inode changes with every atomic replacement, the time with every change in place.
    etag: `${found.ino}-${found.size}-${found.mtimeNs}`,
    modifiedAt: new Date(Number(found.mtimeMs)),
  };
}

/** For people: what is not UTF-8 shows as U+FFFD. */
function nameOf(listing: Listing, key: string): string {
  return `${listing.root === '/' ? '' : listing.root}/${fromUtf8Order(key)}`;
}

function pathOf(listing: Listing, key: string): string | Buffer {
  const name = nameOf(listing, key);
  return name.includes('\uFFFD')
    ? Buffer.concat([Buffer.from(`${listing.root}/`), Buffer.from(key, 'latin1')])
    : name;
}
