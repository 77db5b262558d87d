import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}
interface Manifest {
  readonly [field: string]: unknown;
  readonly allowScripts: Record<string, boolean>;
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));
const manifest = read('package.json') as Manifest;
const { packages } = read('package-lock.json') as { packages: Record<string, LockedPackage> };
const locked = Object.entries(packages).filter(([path]) => path !== '');

const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** An override may be for one package's own dependencies alone. */
interface Versions {
  readonly [name: string]: string | Versions;
}

function flattened(versions: Versions): [name: string, version: string][] {
  return Object.entries(versions).flatMap(([name, version]): [string, string][] =>
    typeof version === 'string' ? [[name, version]] : flattened(version),
  );
}

describe('what npm ci installs', () => {
  it('is fixed to the byte', () => {
    expect(locked.length).toBeGreaterThan(100);
    for (const [path, { integrity, version, link }] of locked) {
      expect(integrity, path).toMatch(/^sha512-[A-Za-z\d+/]{86}==$/);
      expect(version, path).toMatch(/^\d+\.\d+\.\d+/);
      expect(link, path).toBeUndefined();
    }
  });

  it('comes from the registry', () => {
    // The lock names no addresses (npm then asks its registry), so that a mirror can stand in; hashes hold all the same.
    for (const [path, { resolved }] of locked) {
      if (resolved !== undefined) expect(resolved, path).toMatch(/^https:\/\/registry\.npmjs\.org\//);
    }
  });

  it('is asked for by exact versions, never by a tag, a folder, or an address', () => {
    const groups = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'] as const;
    const wanted = groups.flatMap((group) => flattened((manifest[group] ?? {}) as Versions));
    expect(wanted.length).toBeGreaterThan(20);
    for (const [name, version] of wanted) expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.-]+)?$/);
  });

  it('runs no script that nobody has decided about, and none at all', () => {
    const withScripts = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true);
    const names = [...new Set(withScripts.map(([path]) => nameOf(path)))].toSorted();
    expect(Object.keys(manifest.allowScripts).toSorted()).toEqual(names);
    expect(Object.values(manifest.allowScripts)).toEqual(names.map(() => false));
  });
});
