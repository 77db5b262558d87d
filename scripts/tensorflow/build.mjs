// The package of npm and its binding, compiled against the headers and libraries of the wheel.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { has, tryInstall } from '../distribution-packages.mjs';
import { SetupFault, lastLineOf } from './fault.mjs';
import { run } from './run.mjs';

/** @import { Pins } from './pins.mjs' */

const NPM_LIMIT_MS = 15 * 60_000;
/** It takes ten seconds on two cores. */
const COMPILER_LIMIT_MS = 10 * 60_000;
export const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];

/** @returns {string} the folder of TensorFlow's libraries */
export const librariesOf = (directory) => join(directory, 'site-packages', 'tensorflow');

/** @returns {string} the path of the binding */
export const bindingOf = (directory, packageName) =>
  join(directory, 'node_modules', packageName, 'lib', 'napi-v8', 'tfjs_binding.node');

/** Asked before anything is downloaded. @throws {SetupFault} */
export function requireCompiler() {
  if (has('g++') || tryInstall(['g++'], 'g++')) return;
  throw new SetupFault(
    'expected the compiler g++, which is not there: sudo apt-get install g++ (or gcc-c++ of your distribution)',
    2,
  );
}

/**
 * Installs what the lock file says, without running any package's script: theirs would download an older TensorFlow.
 * @param {Pins} pins
 * @param {string} directory
 * @param {AbortSignal} signal
 */
export async function installPackages(pins, directory, signal) {
  for (const name of ['package.json', 'package-lock.json']) {
    await cp(join(pins.manifests, name), join(directory, name));
  }
  const args = [
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--no-update-notifier',
    '--loglevel=error',
  ];
  const { ok, err, how } = await run('npm', args, {
    cwd: directory,
    // npm tells scripts, like this one, where their package is: npm ci would install there.
    env: { ...process.env, npm_config_local_prefix: directory },
    timeoutMs: NPM_LIMIT_MS,
    signal,
  });
  if (ok) return;
  throw new SetupFault(
    `expected npm ci to install ${pins.package}@${pins.tfjs}, got ${how}: ${lastLineOf(err)}; the registry of npm must be reachable`,
  );
}

/**
 * Compiles the binding. It finds the libraries relative to itself, so that the directory can be carried elsewhere.
 * @param {Pins} pins
 * @param {string} directory
 * @param {{ log: string, signal: AbortSignal }} options `log`: where what the compiler says goes if it fails
 */
export async function compileBinding(pins, directory, { log, signal }) {
  const source = join(directory, 'node_modules', pins.package);
  const libraries = librariesOf(directory);
  const binding = bindingOf(directory, pins.package);
  const folder = join(binding, '..');
  await mkdir(folder, { recursive: true });
  const args = [
    ['-O2', '-std=c++17', '-shared', '-fPIC', '-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=tfjs_binding'],
    ['-I', join(directory, 'node_modules', 'node-api-headers', 'include')],
    ['-I', join(libraries, 'include'), '-I', source],
    ['tfjs_backend.cc', 'tfjs_binding.cc'].map((name) => join(source, 'binding', name)),
    ['-L', libraries, ...LIBRARIES.map((name) => `-l:${name}`)],
    [`-Wl,-rpath,$ORIGIN/${relative(folder, libraries)}`, '-o', binding],
  ].flat();
  const { ok, out, err, how } = await run('g++', args, { timeoutMs: COMPILER_LIMIT_MS, signal });
  if (ok) return;
  await writeFile(log, `g++ ${args.join(' ')}\n${out}${err}`);
  const reason = err.split('\n').find((line) => / error: |cannot find|undefined reference/.test(line));
  throw new SetupFault(
    `expected g++ to compile the binding, got ${how}: ${(reason ?? lastLineOf(err)).trim()}; all of it is in ${log}`,
  );
}
