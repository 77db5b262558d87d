// What is installed, to the byte: infra/tensorflow/wheels.json.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SetupFault } from './fault.mjs';

/**
 * @typedef {object} Wheel
 * @property {string} file its name, which is also the last part of its address
 * @property {string} url
 * @property {number} bytes
 * @property {string} sha256 in hexadecimal
 * @property {number} unpackedBytes of what is unpacked from it
 * @property {string[]} unpack names within it; `*` stands for anything but a slash, and each must be there
 */

/**
 * @typedef {object} Pins
 * @property {'cpu' | 'cuda'} variant
 * @property {string} tensorflow version
 * @property {string} tfjs version
 * @property {string} package of npm, with the sources of the binding
 * @property {string} manifests the folder with package.json and package-lock.json
 * @property {Wheel[]} wheels
 */

/**
 * The pins of a variant for this machine.
 * @param {string} folder with wheels.json
 * @param {'cpu' | 'cuda'} variant
 * @param {{ platform: string, arch: string, glibc: string | null }} [machine]
 * @returns {Pins}
 * @throws {SetupFault} where TensorFlow publishes nothing for this machine
 */
export function readPins(folder, variant, machine = thisMachine()) {
  const all = readJson(join(folder, 'wheels.json'));
  const { package: packageName, wheels } = all.variants[variant];
  const known = Object.keys(wheels);
  const { platform, arch, glibc } = machine;
  if (platform !== 'linux' || !known.includes(arch) || glibc === null || isOlder(glibc, all.glibc)) {
    const library = platform === 'linux' ? ` with ${glibc === null ? 'no glibc' : `glibc ${glibc}`}` : '';
    throw new SetupFault(
      `TensorFlow (${variant}) needs linux ${known.join(' or ')} with glibc ${all.glibc} or newer; this is ${platform} ${arch}${library}`,
      2,
    );
  }
  return {
    variant,
    tensorflow: all.tensorflow,
    tfjs: all.tfjs,
    package: packageName,
    manifests: join(folder, variant),
    wheels: wheels[arch],
  };
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new SetupFault(`expected the pinned wheels in ${path}: ${error.message}`, 2);
  }
}

function thisMachine() {
  // Without it a report asks for the name of every connection.
  process.report.excludeNetwork = true;
  const { header } = /** @type {any} */ (process.report.getReport());
  return {
    platform: process.platform,
    arch: process.arch,
    glibc: header.glibcVersionRuntime ?? null,
  };
}

/** Of versions like 2.27: as numbers, since 2.9 is older than 2.27. */
function isOlder(version, other) {
  const [a, b] = [version, other].map((text) => text.split('.').map(Number));
  return a[0] === b[0] ? a[1] < b[1] : a[0] < b[0];
}
