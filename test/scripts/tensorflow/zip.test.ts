import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listZip, unpackEntry } from '../../../scripts/tensorflow/zip.mjs';
import { zipFile, type ZipMember } from './zip-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill-test-zip-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(bytes: Uint8Array): string {
  const path = join(folder, 'a.whl');
  writeFileSync(path, bytes);
  return path;
}

async function unpackAll(members: readonly ZipMember[]): Promise<string> {
  const path = write(zipFile(members));
  const target = join(folder, 'out');
  for (const entry of await listZip(path)) await unpackEntry(path, entry, target);
  return target;
}

describe('a zip file', () => {
  it('gives back what was put into it, packed or stored, with the right to execute', async () => {
    const long = 'abc'.repeat(100_000);
    const target = await unpackAll([
      { name: 'pkg/lib/long.txt', content: long },
      { name: 'pkg/empty', content: '', stored: true },
      { name: 'pkg/bin/tool', content: '#!/bin/sh\n', stored: true, mode: 0o100744 },
    ]);
    expect(readFileSync(join(target, 'pkg/lib/long.txt'), 'utf8')).toBe(long);
    expect(readFileSync(join(target, 'pkg/empty'), 'utf8')).toBe('');
    expect(statSync(join(target, 'pkg/bin/tool')).mode & 0o777).toBe(0o755);
    expect(statSync(join(target, 'pkg/lib/long.txt')).mode & 0o111).toBe(0);
  });

  it('is refused wherever it is cut', async () => {
    const whole = zipFile([{ name: 'a/b', content: 'hello '.repeat(50) }]);
    for (let bytes = 0; bytes < whole.length; bytes += 1) {
      await expect(listZip(write(whole.subarray(0, bytes)))).rejects.toThrow(
        /expected a whole zip file in .*a\.whl/,
      );
    }
  });

  it.each(['../evil', 'a/../../evil', '/etc/evil', 'a//b', './a', 'a\\..\\b', 'C:evil', 'a\u0000b', '..'])(
    'is refused with a file named %j',
    async (name) => {
      await expect(
        unpackAll([
          { name: 'good', content: 'x' },
          { name, content: 'x' },
        ]),
      ).rejects.toThrow(`a file named ${JSON.stringify(name)}, which is no path within a directory`);
      expect(existsSync(join(folder, 'evil'))).toBe(false);
    },
  );

  it.each<[string, ZipMember, RegExp]>([
    ['is damaged', { name: 'a', content: 'x', lie: { crc: 1 } }, /a is damaged/],
    [
      'is longer than it says',
      { name: 'a', content: 'x'.repeat(9999), lie: { bytes: 10 } },
      /more than the 10 bytes/,
    ],
    [
      'is shorter than it says',
      { name: 'a', content: 'xy', lie: { bytes: 3 } },
      /has 2 bytes, its list says 3/,
    ],
    ['is encrypted', { name: 'a', content: 'x', flags: 1 }, /not read here/],
    ['is a link', { name: 'a', content: '/etc/passwd', mode: 0o120777 }, /is a symbolic link/],
    ['is of zip64', { name: 'a', content: 'x', lie: { bytes: 0xffffffff } }, /zip64/],
  ])('is refused when a file of it %s', async (_, member, message) => {
    await expect(unpackAll([member])).rejects.toThrow(message);
  });

  it('is refused when what is packed is no deflated data', async () => {
    const bytes = zipFile([{ name: 'a', content: 'x'.repeat(100) }]);
    bytes.fill(0xff, 31, 35);
    const path = write(bytes);
    const [entry] = await listZip(path);
    await expect(unpackEntry(path, entry!, join(folder, 'out'))).rejects.toThrow(/expected a whole zip file/);
  });

  it('is refused with two files of one name', async () => {
    const twice = ['x', 'y'].map((content) => ({ name: 'a', content }));
    await expect(unpackAll(twice)).rejects.toThrow('two files named "a"');
  });
});
