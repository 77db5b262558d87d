import type { Dirent } from 'node:fs';
import { opendir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ImageError, ImagemillError } from '../contract/errors.ts';
import type { SourceSpec } from '../contract/run.ts';
import { classOfItem } from '../pipeline/prepare/class-of-item.ts';
import { filteredSource } from '../pipeline/source/filtered-source.ts';
import type { Listing } from '../pipeline/source/listing.ts';
import { isImageName, isNeverAnItem } from '../pipeline/source/names.ts';
import { openListing } from '../pipeline/source/open-source.ts';
import { errnoOf, fileStoreError } from '../storage/file-errors.ts';
import type { StoreResolver } from '../storage/object-store.ts';

/**
 * Refuses classes that cannot be trained on, as far as that is known without listing the whole source: a local folder
 * with an empty class folder, or with fewer than two; a manifest with fewer than two labels. What only preparing
 * shows is refused at its end.
 * @param spec with a canonical URI
 * @throws ImagemillError DATASET_CLASSES, and what opening a source throws
 */
export async function refuseUntrainableSource(spec: SourceSpec, resolver: StoreResolver): Promise<void> {
  const { kind, listing } = await openListing(spec, resolver);
  if (kind === 'manifest') return refuseManifest(spec, listing);
  // Patterns and a limit choose some images of a folder, or of some folders: then an empty one says nothing.
  const isWhole = spec.include.length === 0 && spec.limit === undefined;
  if (kind === 'prefix' && spec.uri.startsWith('file:') && isWhole) return refuseFolders(spec);
}

async function refuseManifest(spec: SourceSpec, listing: Listing): Promise<void> {
  const labels = new Set<string>();
  for await (const page of filteredSource(listing, spec).list()) {
    for (const { item } of page) {
      try {
        labels.add(classOfItem(item, spec.uri));
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
      }
      if (labels.size >= 2) return;
    }
  }
  throw tooFewClasses(spec.uri, 'labels of two classes or more', [...labels]);
}

async function refuseFolders(spec: SourceSpec): Promise<void> {
  const root = fileURLToPath(spec.uri);
  const folders = await classFolders(root);
  // One image that was named itself is no folder; what is wrong with it shows when it is prepared.
  if (folders === null) return;
  for (const folder of folders) {
    if (folder.startsWith('.') || (await isExcluded(folder, spec.exclude))) continue;
    if (await holdsImage(join(root, folder))) continue;
    throw new ImagemillError(
      'DATASET_CLASSES',
      `class ${JSON.stringify(folder)}: expected images in ${join(root, folder)}, found none; remove the folder, or --exclude "${folder}/**"`,
    );
  }
  if (folders.length < 2 && spec.exclude.length === 0) {
    throw tooFewClasses(spec.uri, 'a folder for each of two classes or more', folders);
  }
}

function tooFewClasses(uri: string, expected: string, found: readonly string[]): ImagemillError {
  const [only] = found;
  return new ImagemillError(
    'DATASET_CLASSES',
    `${uri}: expected ${expected}, got ${only === undefined ? 'none' : `one, ${JSON.stringify(only)}`}`,
  );
}

/** Names of the folders in a folder, sorted; null where it is no folder. */
async function classFolders(root: string): Promise<string[] | null> {
  const names: string[] = [];
  try {
    for await (const entry of await opendir(root)) {
      if (await isFolder(root, entry)) names.push(entry.name);
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return null;
    throw fileStoreError(error, { action: 'list', path: root });
  }
  return names.sort();
}

/** Whether there is an image below a folder; the first one ends the search. */
async function holdsImage(folder: string, seen = new Set<string>()): Promise<boolean> {
  const folders: string[] = [];
  try {
    const place = await realpath(folder);
    if (seen.has(place)) return false;
    seen.add(place);
    for await (const entry of await opendir(folder)) {
      if (await isFolder(folder, entry)) folders.push(join(folder, entry.name));
      else if (isImageName(entry.name) && !isNeverAnItem(entry.name)) return true;
    }
  } catch (error) {
    throw fileStoreError(error, { action: 'list', path: folder });
  }
  for (const inner of folders) if (await holdsImage(inner, seen)) return true;
  return false;
}

/** Links are followed, as the listing of a source follows them. */
async function isFolder(parent: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  const target = await stat(join(parent, entry.name)).catch(() => null);
  return target?.isDirectory() ?? false;
}

/** Whether the patterns leave out an image of a folder, whatever its name. */
async function isExcluded(folder: string, exclude: readonly string[]): Promise<boolean> {
  const image: Listing = {
    async *list() {
      yield [{ item: { uri: folder }, name: `${folder}/image`, position: 0 }];
    },
  };
  for await (const _page of filteredSource(image, { exclude }).list()) return false;
  return true;
}
