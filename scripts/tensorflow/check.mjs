// What a directory must pass before anything uses it.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LIBRARIES, bindingOf, librariesOf } from './build.mjs';
import { SetupFault, lastLineOf } from './fault.mjs';
import { run } from './run.mjs';
import { checkSymbols } from './symbols.mjs';

/** @import { Pins } from './pins.mjs' */

const PROBE = fileURLToPath(new URL('./probe.mjs', import.meta.url));
/** A GPU newer than the library has its kernels translated at the first use. */
const PROBE_LIMIT_MS = 5 * 60_000;

/**
 * Checks symbols, loads TensorFlow in a process of its own, and compares what it computes.
 * @param {Pick<Pins, 'package' | 'tensorflow' | 'tfjs'>} pins
 * @param {string} directory
 * @param {AbortSignal} signal
 * @returns {Promise<{ device: 'CPU' | 'GPU' }>} what it computed on
 * @throws {SetupFault}
 */
export async function checkBuild(pins, directory, signal) {
  const binding = bindingOf(directory, pins.package);
  const libraries = LIBRARIES.map((name) => join(librariesOf(directory), name));
  try {
    await checkSymbols(binding, libraries);
  } catch (error) {
    if (error.code === 'ENOENT') throw new SetupFault(`expected ${error.path}, which is not there`);
    throw error;
  }
  const { ok, out, err, how } = await run(
    process.execPath,
    ['--no-deprecation', PROBE, directory, pins.package],
    {
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        TF_CPP_MIN_LOG_LEVEL: '2',
        TF_FORCE_GPU_ALLOW_GROWTH: 'true',
      },
      timeoutMs: PROBE_LIMIT_MS,
      signal,
    },
  );
  if (!ok)
    throw new SetupFault(`expected TensorFlow to load from ${directory}, got ${how}: ${reasonIn(err)}`);
  const found = JSON.parse(lastLineOf(out));
  const wanted = { backend: 'tensorflow', tensorflow: pins.tensorflow, tfjs: pins.tfjs };
  for (const [name, value] of Object.entries(wanted)) {
    if (found[name] !== value) {
      throw new SetupFault(`expected ${name} ${value} in ${directory}, got ${found[name]}`);
    }
  }
  if (found.wrong.length > 0) {
    throw new SetupFault(
      `expected TensorFlow in ${directory} to compute what plain arithmetic does; wrong: ${found.wrong.join(', ')}`,
    );
  }
  return { device: found.device };
}

/** Node prints the place of an error first, then the error. */
function reasonIn(text) {
  const error = text
    .split('\n')
    .find((line) => /^(\w*Error|.*error while loading|.*Check failed)\b/.test(line));
  return (
    (error ?? lastLineOf(text)) || 'its libraries are damaged, or not for this processor (it must have AVX)'
  );
}

/** @returns {string} the SHA-256 of the binding, in hexadecimal */
export const digestOf = (binding) => createHash('sha256').update(readFileSync(binding)).digest('hex');
