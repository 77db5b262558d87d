import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { TarWriter } from '../../../src/pipeline/prepare/tar-writer.ts';
import { RangeReader } from '../../../src/pipeline/source/range-reader.ts';
import { readTarMember, type TarMember } from '../../../src/pipeline/source/tar-members.ts';
import { sha256 } from '../../../src/storage/digest.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';
import { titleNeeding } from '../../support/needs.ts';

const text = (value: string) => Buffer.from(value);

function write(members: readonly (readonly [string, Uint8Array])[]): {
  bytes: Uint8Array;
  offsets: number[];
  digest: string;
} {
  const writer = new TarWriter();
  const offsets = members.map(([name, body]) => writer.add(name, body));
  return { ...writer.finish(), offsets };
}

async function readBack(bytes: Uint8Array): Promise<TarMember[]> {
  const store = new MemoryStore(new MemoryBucket('tars'));
  await store.put('a.tar', bytes);
  const reader = new RangeReader(store, 'a.tar', bytes.length);
  const members: TarMember[] = [];
  for (let offset = 0; ;) {
    const member = await readTarMember(reader, offset);
    if (member === null) return members;
    members.push(member);
    offset = member.next;
  }
}

const LONG = `${'folder/'.repeat(30)}image.jpg`;
const MEMBERS = [
  ['000042-00000000.jpg', Buffer.alloc(512, 7)],
  ['000042-00000000.cls', text('cat')],
  [LONG, Buffer.alloc(513, 8)],
  ['größe/猫.jpg', text('body')],
  ['x'.repeat(100), text('exactly a hundred')],
  ['y'.repeat(101), new Uint8Array(0)],
] as const;

const folder = mkdtempSync(join(tmpdir(), 'imagemill-tar-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'a.tar');

describe('TarWriter', () => {
  it('says where every body lies', () => {
    const { bytes, offsets } = write(MEMBERS);
    MEMBERS.forEach(([, body], index) => {
      const offset = offsets[index] ?? 0;
      expect(Buffer.compare(bytes.subarray(offset, offset + body.length), body)).toBe(0);
    });
  });

  it('is read by our own reader, for any names and bodies', async () => {
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 150 })
      .filter((n) => !/[\0\p{Surrogate}]|\/$/u.test(n));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 1_200 })), { maxLength: 8 }),
        async (members) => {
          const { bytes, offsets, digest } = write(members);
          expect(bytes.length % 512).toBe(0);
          expect(digest).toBe(sha256(bytes));
          const found = await readBack(bytes);
          expect(found.map(({ name, offset, bytes }) => [name, offset, bytes])).toEqual(
            members.map(([name, body], index) => [name, offsets[index], body.length]),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is read by tar: names, modes, owners, times and contents', () => {
    writeFileSync(file, write(MEMBERS).bytes);
    const lines = execFileSync('tar', ['--utc', '--full-time', '--numeric-owner', '-tvf', file], {
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    })
      .toString()
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(MEMBERS.length);
    MEMBERS.forEach(([name, body], index) => {
      expect(lines[index]).toMatch(/^-rw-r--r-- 0\/0 +\d+ 1970-01-01 00:00:00 /);
      expect(lines[index]).toContain(` ${body.length} 1970`);
      expect(lines[index]?.endsWith(` ${name}`), lines[index]).toBe(true);
    });
    const body = execFileSync('tar', ['-xOf', file, LONG]);
    expect(Buffer.compare(body, Buffer.alloc(513, 8))).toBe(0);
  });

  const hasPython = canRun('python3');
  it.skipIf(!hasPython)(
    titleNeeding('python3', hasPython, "is read by Python's tarfile, which WebDataset uses"),
    () => {
      writeFileSync(file, write(MEMBERS).bytes);
      const script = `
import json, sys, tarfile
with tarfile.open(sys.argv[1], 'r|') as tar:
    print(json.dumps([[m.name, m.size, m.mode, m.mtime, m.offset_data, list(tar.extractfile(m).read())] for m in tar]))`;
      const { offsets } = write(MEMBERS);
      expect(JSON.parse(execFileSync('python3', ['-c', script, file]).toString())).toEqual(
        MEMBERS.map(([name, body], index) => [name, body.length, 0o644, 0, offsets[index], [...body]]),
      );
    },
  );

  it('refuses what would make the tar larger than allowed, at the byte', () => {
    const add = (maxBytes: number) => new TarWriter(maxBytes).add('a.jpg', Buffer.alloc(512));
    expect(add(4 * 512)).toBe(512);
    expect(() => add(4 * 512 - 1)).toThrow(/at most 2047 bytes of tar.*--shard-size/);
  });

  it.each(['', 'a\0b', 'folder/', 'a\ud800'])('refuses the name %j', (name) => {
    expect(() => new TarWriter().add(name, text('x'))).toThrow('expected the name of a tar member');
  });
});

function canRun(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
