import { opendir, stat, unlink } from 'node:fs/promises';
import { fileStoreError, meansAbsent } from './file-errors.ts';
import { TEMPORARY_PREFIX } from './file-listing.ts';

/**
 * Removes temporary files of writers that were interrupted, below a folder. Links are not followed.
 * @returns how many were removed
 * @throws ImagemillError STORE_* where the folder cannot be read or a file not be removed
 */
export async function removeTemporaryFiles(root: string, before: Date): Promise<number> {
  let removed = 0;
  try {
    const folder = await opendir(root, { recursive: true });
    for await (const entry of folder) {
      if (!entry.isFile() || !entry.name.startsWith(TEMPORARY_PREFIX)) continue;
      if (await removeOlder(`${entry.parentPath}/${entry.name}`, before)) removed += 1;
    }
  } catch (error) {
    if (!meansAbsent(error)) throw fileStoreError(error, { action: 'list', path: root });
  }
  return removed;
}

async function removeOlder(path: string, before: Date): Promise<boolean> {
  try {
    if ((await stat(path)).mtime >= before) return false;
    await unlink(path);
    return true;
  } catch (error) {
    // Its writer came to an end meanwhile.
    if (meansAbsent(error)) return false;
    throw fileStoreError(error, { action: 'delete', path });
  }
}
