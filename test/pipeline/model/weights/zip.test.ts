import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memberBytes, readZipDirectory } from '../../../../src/pipeline/model/weights/zip.ts';
import { damaged, expectRefusal, join, zip } from './support.ts';
import type { ZipOptions } from './support.ts';

const MEMBERS = [
  ['a/data.pkl', Buffer.from('hello')],
  ['a/é', Buffer.alloc(100, 7)],
  ['a/empty', Buffer.alloc(0)],
] as const;

function readAll(bytes: Uint8Array): [string, string][] {
  return [...readZipDirectory(bytes, 'z').values()].map((member) => [
    member.name,
    Buffer.from(memberBytes(bytes, member, 'z')).toString('latin1'),
  ]);
}

const expected = MEMBERS.map(([name, content]) => [name, content.toString('latin1')]);

describe('readZipDirectory', () => {
  it.each<[string, ZipOptions]>([
    ['a plain archive', {}],
    ['a zip64 archive', { zip64: true }],
    ['an archive with a comment', { comment: 'made by hand' }],
    ['an archive without checksums', { crc: 0 }],
  ])('reads %s', (_, options) => {
    expect(readAll(zip(MEMBERS, options))).toEqual(expected);
  });

  it('gives views, not copies', () => {
    const bytes = zip(MEMBERS);
    const member = readZipDirectory(bytes, 'z').get('a/é');
    expect(member && memberBytes(bytes, member, 'z').buffer).toBe(bytes.buffer);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(), /truncated/],
    ['an archive that is cut off', zip(MEMBERS).subarray(0, -1), /truncated/],
    ['bytes after the archive', join(zip(MEMBERS), Buffer.alloc(1)), /truncated/],
    ['compressed members', zip(MEMBERS, { method: 8 }), /without compression/],
    ['encrypted members', zip(MEMBERS, { flags: 1 }), /without compression or encryption/],
    ['a wrong checksum', zip(MEMBERS, { crc: 1 }), /checksum/],
    ['a name that appears twice', zip([...MEMBERS, ['a/é', Buffer.from('x')]]), /"a\/é" twice/],
  ])('refuses %s', (_, bytes, message) => {
    expectRefusal(() => readAll(bytes), 'MODEL_CORRUPT', message);
  });

  it('refuses a local header with another name', () => {
    const bytes = zip(MEMBERS);
    bytes[30] = 0x62;
    expectRefusal(() => readAll(bytes), 'MODEL_CORRUPT', /one name .* got two/);
  });

  it('refuses more members than the file can hold, before reading them', () => {
    const bytes = zip(MEMBERS, { zip64: true });
    new DataView(bytes.buffer).setBigUint64(bytes.byteLength - 22 - 76 + 32, 2n ** 50n, true);
    expectRefusal(() => readAll(bytes), 'MODEL_CORRUPT', /got 1125899906842624 members/);
  });

  it('reads or refuses damaged archives, and never anything else', () => {
    fc.assert(
      fc.property(
        fc.boolean().chain((zip64) => damaged(zip(MEMBERS, { zip64 }))),
        (bytes) => {
          try {
            readAll(bytes);
          } catch (error) {
            expect(error).toHaveProperty('code', 'MODEL_CORRUPT');
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
