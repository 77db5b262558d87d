// The directory that is built: where it is, whose it is, and that only one builds it at a time.
import {
  existsSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupFault } from './fault.mjs';

const DEFAULT = fileURLToPath(new URL('../../.cache/tensorflow', import.meta.url));
/** In infra/tensorflow, and so in every directory that was built. */
const NAME = 'imagemill-tensorflow';
const CONTENTS = new Set([
  'package.json',
  'package-lock.json',
  'node_modules',
  'site-packages',
  'built.json',
]);

/**
 * IMAGEMILL_TENSORFLOW, or .cache/tensorflow of this installation. A link is followed: what it leads to is replaced.
 * @param {NodeJS.ProcessEnv} env
 */
export function directoryOf(env) {
  const given = env.IMAGEMILL_TENSORFLOW;
  const directory = given === undefined || given === '' ? DEFAULT : resolve(given);
  return existsSync(directory) ? realpathSync(directory) : directory;
}

/**
 * What built.json says.
 * @returns {Record<string, unknown> | null} null where nothing was built to the end
 */
export function readBuilt(directory) {
  return readJson(join(directory, 'built.json'));
}

/** @throws {SetupFault} where there is something that this command has not made */
export function requireOurs(directory) {
  if (!existsSync(directory)) return;
  const names = listOf(directory);
  if (names.length === 0) return;
  const foreign = names.filter((name) => !CONTENTS.has(name));
  if (foreign.length === 0 && readJson(join(directory, 'package.json'))?.name === NAME) return;
  const what = foreign.length > 0 ? foreign.slice(0, 3).join(', ') : 'another package.json';
  throw new SetupFault(
    `expected ${directory} to be what setup:tensorflow has built, and nothing else; it holds ${what}: it was left as it is`,
    2,
  );
}

function listOf(directory) {
  try {
    return readdirSync(directory);
  } catch (error) {
    throw new SetupFault(`expected a directory in ${directory}: ${error.code}`, 2);
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** @throws {SetupFault} where the disk has fewer bytes left than `bytes` */
export function requireSpace(directory, bytes) {
  const { bavail, bsize } = statfsSync(dirname(directory));
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new SetupFault(
    `expected ${gigabytes(bytes)} free in ${dirname(directory)}, got ${gigabytes(free)}: make room, or set IMAGEMILL_TENSORFLOW to a directory on another disk`,
    2,
  );
}

/** @returns {string} such as `1.4 GB` */
export const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;

/**
 * Builds in a directory beside the one that is wanted, and puts it into its place when all of it is there. However it
 * ends, what was there before is either untouched or replaced, and nothing else is left.
 * @param {string} directory
 * @param {(staging: string) => Promise<void>} build
 */
export async function replace(directory, build) {
  const staging = `${directory}.building`;
  const old = `${directory}.old`;
  await clear(staging, old);
  try {
    await mkdir(staging);
    await build(staging);
    if (existsSync(directory)) await rename(directory, old);
    await rename(staging, directory);
  } finally {
    await clear(staging, old);
  }
}

/**
 * Removes what was built and what an interrupted run may have left.
 * @returns {Promise<string[]>} what was there
 */
export async function remove(directory) {
  requireOurs(directory);
  const there = [directory, `${directory}.building`, `${directory}.old`, logOf(directory)].filter((path) =>
    existsSync(path),
  );
  await clear(...there);
  return there;
}

/** Where a compiler's complaints go. */
export const logOf = (directory) => `${directory}.log`;

async function clear(...paths) {
  for (const path of paths) await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Keeps others from working on the directory until the returned function is called. The lock of a process that is gone
 * does not count.
 * @param {string} directory
 * @returns {Promise<() => void>}
 * @throws {SetupFault} while another process has it
 */
export async function lock(directory) {
  const path = `${directory}.lock`;
  await mkdir(dirname(directory), { recursive: true }).catch((error) => {
    throw new SetupFault(`expected to make the directory ${dirname(directory)}, got ${error.code}`, 2);
  });
  for (;;) {
    try {
      writeFileSync(path, JSON.stringify({ pid: process.pid, host: hostname() }), { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw new SetupFault(`expected to write ${path}, got ${error.code}`, 2);
    }
    const holder = readJson(path);
    if (holder === null || holder.host !== hostname() || isAlive(holder.pid)) {
      const who = holder === null ? 'another process' : `process ${holder.pid} on ${holder.host}`;
      throw new SetupFault(
        `expected to be alone with ${directory}, but ${who} works on it: wait for it, or remove ${path} if it is gone`,
      );
    }
    rmSync(path, { force: true });
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}
