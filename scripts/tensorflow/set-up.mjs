// From nothing to a TensorFlow that Node loads: libraries of a wheel of PyPI, the package of npm, a binding compiled
// here. docs/adr/0018-tensorflow-from-wheels.md says why.
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bindingOf, compileBinding, installPackages, requireCompiler } from './build.mjs';
import { checkBuild, digestOf } from './check.mjs';
import {
  gigabytes,
  lock,
  logOf,
  readBuilt,
  remove,
  replace,
  requireOurs,
  requireSpace,
} from './directory.mjs';
import { SetupFault } from './fault.mjs';
import { unpackWheels } from './wheels.mjs';

/** @import { Pins } from './pins.mjs' */

/** The packages of npm, and what compiling leaves for a moment. */
const PACKAGES_BYTES = 350_000_000;

/**
 * @typedef {object} Options
 * @property {string} directory
 * @property {string | null} wheelsFolder null: wheels come from the network
 * @property {(text: string) => void} say a line for the user
 * @property {(text: string) => void} progress what is done now, which may be overwritten by the next
 * @property {AbortSignal} signal
 */

/**
 * Builds what the pins say, unless it is there and passes its checks.
 * @param {Pins} pins
 * @param {Options} options
 * @throws {SetupFault}
 */
export async function setUp(pins, options) {
  const { directory, say } = options;
  const unlock = await lock(directory);
  try {
    requireOurs(directory);
    const title = `TensorFlow ${pins.tensorflow} (${pins.variant})`;
    if (await isThere(pins, options)) return;
    await build(pins, options);
    say(`${title} is built in ${directory}`);
  } finally {
    unlock();
  }
}

/** @returns {Promise<string[]>} the paths that were removed */
export async function removeAll(directory) {
  if (!existsSync(join(directory, '..'))) return [];
  const unlock = await lock(directory);
  try {
    return await remove(directory);
  } finally {
    unlock();
  }
}

async function isThere(pins, { directory, say, progress, signal }) {
  const built = readBuilt(directory);
  if (built === null) return false;
  const { variant, tensorflow, tfjs } = pins;
  if (built.variant !== variant || built.tensorflow !== tensorflow || built.tfjs !== tfjs) {
    const old = `${String(built.tensorflow)} (${String(built.variant)})`;
    say(`TensorFlow ${old} will be replaced by ${tensorflow} (${variant})`);
    return false;
  }
  try {
    progress('checking what is there');
    const binding = bindingOf(directory, pins.package);
    if (!existsSync(binding) || digestOf(binding) !== built.bindingSha256) {
      throw new SetupFault(`${binding} is not the file that was built`);
    }
    const { device } = await checkBuild(pins, directory, signal);
    say(
      `TensorFlow ${tensorflow} (${variant}) is in ${directory} already: it computes what it should, on the ${device}`,
    );
    return true;
  } catch (error) {
    if (!(error instanceof SetupFault) || signal.aborted) throw error;
    say(`what is there does not work, so it is built again: ${error.message}`);
    return false;
  }
}

async function build(pins, { directory, wheelsFolder, say, progress, signal }) {
  requireCompiler();
  const sum = (name) => pins.wheels.reduce((total, wheel) => total + wheel[name], 0);
  const largest = wheelsFolder === null ? Math.max(...pins.wheels.map(({ bytes }) => bytes)) : 0;
  const needed = sum('unpackedBytes') + largest + PACKAGES_BYTES;
  requireSpace(directory, needed);
  const from = wheelsFolder ?? `files.pythonhosted.org (${gigabytes(sum('bytes'))})`;
  say(
    `TensorFlow ${pins.tensorflow} (${pins.variant}) from ${from} to ${directory}; up to ${gigabytes(needed)} of disk`,
  );
  const log = logOf(directory);
  rmSync(log, { force: true });
  await replace(directory, async (staging) => {
    const temporary = join(staging, 'wheels');
    const target = join(staging, 'site-packages');
    await mkdir(temporary);
    await unpackWheels(pins.wheels, { target, folder: wheelsFolder, temporary, progress, signal });
    await rm(temporary, { recursive: true });
    progress(`npm: ${pins.package}@${pins.tfjs}`);
    await installPackages(pins, staging, signal);
    progress('compiling the binding');
    await compileBinding(pins, staging, { log, signal });
    progress('checking symbols and a computed result');
    const { device } = await checkBuild(pins, staging, signal);
    writeBuilt(pins, staging);
    say(`checked: TensorFlow ${pins.tensorflow} computes what it should, on the ${device}`);
  });
}

/** Whole or not at all: what reads it takes it as the word that all else is there. */
function writeBuilt({ variant, tensorflow, tfjs, package: packageName }, directory) {
  const bindingSha256 = digestOf(bindingOf(directory, packageName));
  const built = { schema: 1, variant, tensorflow, tfjs, package: packageName, bindingSha256 };
  const path = join(directory, 'built.json');
  writeFileSync(`${path}.new`, `${JSON.stringify(built, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
