import { describe, expect, it } from 'vitest';
import { parsePaxRecords, parseTarHeader } from '../../../src/pipeline/source/tar-headers.ts';
import { errorOf } from './support.ts';
import { headerBlock } from './tar-fixture.ts';

const record = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length += 1;
  return `${length}${rest}`;
};
const pax = (text: string) => parsePaxRecords(Buffer.from(text), 'x.tar at byte 0');
const codeOf = async (run: () => unknown) => (await errorOf((async () => run())())).code;

describe('parseTarHeader', () => {
  it('joins prefix and name in POSIX headers only', () => {
    expect(parseTarHeader(headerBlock({ name: 'b.jpg', prefix: 'a' }), 'x')?.name).toBe('a/b.jpg');
    expect(parseTarHeader(headerBlock({ name: 'b.jpg', prefix: 'a', magic: 'ustar  \0' }), 'x')?.name).toBe(
      'b.jpg',
    );
    expect(parseTarHeader(headerBlock({ name: 'b.jpg', prefix: 'a', magic: '' }), 'x')?.name).toBe('b.jpg');
  });

  it('takes a name that fills its field, without NUL', () => {
    expect(parseTarHeader(headerBlock({ name: 'n'.repeat(100) }), 'x')?.name).toBe('n'.repeat(100));
  });

  it.each([
    ['00000001234\0', 0o1234],
    ['       1234 ', 0o1234],
    ['77777777777\0', 8_589_934_591],
    [Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5), 2 ** 33 + 5],
  ])('reads the size %s', (size, expected) => {
    expect(parseTarHeader(headerBlock({ size }), 'x')?.bytes).toBe(expected);
  });

  it.each([
    ['negative', Uint8Array.from({ length: 12 }, () => 0xff)],
    [
      'beyond what a number holds',
      Uint8Array.from({ length: 12 }, (_, index) => (index === 0 ? 0x80 : 0x7f)),
    ],
    ['not octal', '00000000128\0'],
  ])('refuses a size that is %s', async (_name, size) => {
    expect(await codeOf(() => parseTarHeader(headerBlock({ size }), 'x'))).toBe('TAR_INVALID');
  });

  it('treats the oldest and the contiguous file types as files', () => {
    expect(parseTarHeader(headerBlock({ type: '\0' }), 'x')?.type).toBe('0');
    expect(parseTarHeader(headerBlock({ type: '7' }), 'x')?.type).toBe('0');
  });

  it('takes zeros for the end, and refuses a block with any byte changed', async () => {
    expect(parseTarHeader(new Uint8Array(512), 'x')).toBeNull();
    for (const index of [0, 99, 124, 156, 345, 511]) {
      const block = headerBlock({ name: 'photo.jpg' });
      block[index] = (block[index] ?? 0) ^ 1;
      expect(await codeOf(() => parseTarHeader(block, 'x'))).toBe('TAR_INVALID');
    }
  });

  it('accepts the checksum of signed bytes that some old writers computed', () => {
    const block = Buffer.from(headerBlock({ name: 'é.jpg' }));
    block.fill(' ', 148, 156);
    const sum = block.reduce((total, byte) => total + (byte > 127 ? byte - 256 : byte), 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect(parseTarHeader(block, 'x')?.name).toBe('é.jpg');
  });
});

describe('parsePaxRecords', () => {
  it('reads path and size among others, with = and newlines in values', () => {
    const text =
      record('mtime', '1.5') + record('path', 'a=b\né.jpg') + record('size', '9000000000') + record('x', '');
    expect(pax(text)).toEqual({ path: 'a=b\né.jpg', bytes: 9_000_000_000 });
  });

  it.each([
    'abc',
    '5 a=b\n',
    '999 path=x\n',
    '0 path=x\n',
    '-1 a=b\n',
    '9 pathxx\n',
    '6 a=bb',
    record('size', '-1'),
  ])('refuses %j', async (text) => {
    expect(await codeOf(() => pax(text))).toBe('TAR_INVALID');
  });

  it('refuses sparse files', async () => {
    expect(await codeOf(() => pax(record('GNU.sparse.major', '1')))).toBe('TAR_INVALID');
  });
});
