import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIBRARIES, bindingOf, librariesOf } from '../../../scripts/tensorflow/build.mjs';
import { checkBuild } from '../../../scripts/tensorflow/check.mjs';
import { directoryOf, readBuilt } from '../../../scripts/tensorflow/directory.mjs';
import { checkSymbols, readSymbols } from '../../../scripts/tensorflow/symbols.mjs';
import { titleNeeding } from '../../support/needs.ts';

const compiles = spawnSync('g++', ['--version'], { stdio: 'ignore' }).status === 0;
const built = directoryOf(process.env);
const pins = readBuilt(built) as { package: string; tensorflow: string; tfjs: string } | null;

let folder: string;
beforeEach(() => {
  // On the disk of what is built: its libraries are linked, not copied.
  const parent = pins === null ? tmpdir() : dirname(built);
  folder = mkdtempSync(join(parent, 'imagemill-test-tensorflow-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe.skipIf(!compiles)(titleNeeding('g++', compiles, 'the symbols of a library'), () => {
  function compile(name: string, source: string): string {
    const path = join(folder, name);
    const args = ['-x', 'c', '-shared', '-fPIC', '-o', path, '-'];
    expect(spawnSync('gcc', args, { input: source, encoding: 'utf8' })).toMatchObject({ status: 0 });
    return path;
  }

  it('are told apart: those it has, and those it needs', async () => {
    const library = compile(
      'lib.so',
      'int TF_A(void) { return 1; } int TFE_B(void) { return 2; } int other(void) { return 3; }',
    );
    const binding = compile(
      'b.node',
      'int TF_A(void); int TF_Gone(void); int f(void) { return TF_A() + TF_Gone(); }',
    );
    expect(await readSymbols(library)).toEqual({ exported: new Set(['TF_A', 'TFE_B']), imported: new Set() });
    await expect(checkSymbols(binding, [library])).rejects.toThrow(/lib\.so to export .*; missing: TF_Gone$/);
    const more = compile('more.so', 'int TF_Gone(void) { return 1; }');
    await expect(checkSymbols(binding, [library, more])).resolves.toBeUndefined();
    await expect(checkSymbols(library, [more])).rejects.toThrow('expected imports of TF_');
  });

  it('are not looked for in a file that is cut, or no library', async () => {
    const library = compile('lib.so', 'int TF_A(void) { return 1; }');
    truncateSync(library, statSync(library).size - 1);
    await expect(readSymbols(library)).rejects.toThrow(/expected a shared library in .*: it ends at byte/);
    writeFileSync(library, '<html>'.repeat(100));
    await expect(readSymbols(library)).rejects.toThrow('no 64-bit little-endian ELF file');
  });
});

describe.skipIf(pins === null)(
  titleNeeding('native TensorFlow', pins !== null, 'a built TensorFlow'),
  { timeout: 120_000 },
  () => {
    const { signal } = new AbortController();

    /** As `cp -al`: a second name for every file, but for one library. */
    function copy(): string {
      const target = join(folder, 'copy');
      const files = spawnSync('find', ['.', '-type', 'f'], {
        cwd: built,
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
      });
      for (const file of files.stdout.split('\n').filter(Boolean)) {
        mkdirSync(dirname(join(target, file)), { recursive: true });
        linkSync(join(built, file), join(target, file));
      }
      return target;
    }

    it('works from another place, to which it was carried', async () => {
      expect(await checkBuild(pins!, copy(), signal)).toHaveProperty('device');
    });

    it('of another version than the pins say is refused', async () => {
      await expect(checkBuild({ ...pins!, tensorflow: '2.0.0' }, built, signal)).rejects.toThrow(
        `expected tensorflow 2.0.0 in ${built}, got ${pins!.tensorflow}`,
      );
    });

    it('is refused when a library is damaged, cut or gone', async () => {
      const directory = copy();
      const library = join(librariesOf(directory), LIBRARIES[1]!);
      rmSync(library);
      await expect(checkBuild(pins!, directory, signal)).rejects.toThrow(
        `expected ${library}, which is not there`,
      );
      cpSync(join(librariesOf(built), LIBRARIES[1]!), library);
      truncateSync(library, 20_000_000);
      await expect(checkBuild(pins!, directory, signal)).rejects.toThrow(
        `expected a shared library in ${library}`,
      );
      expect(existsSync(bindingOf(directory, pins!.package))).toBe(true);
    });
  },
);
