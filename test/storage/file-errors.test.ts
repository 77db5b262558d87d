import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { ImagemillError } from '../../src/contract/errors.ts';
import { fileStoreError } from '../../src/storage/file-errors.ts';

const systemError = (code: string): Error =>
  Object.assign(new Error(`${code}: no luck, open '/data/k'`), { code, errno: -1, syscall: 'open' });

describe('a failed system call', () => {
  it.each<[string, ErrorCode]>([
    ['ENOSPC', 'STORE_FULL'],
    ['EDQUOT', 'STORE_FULL'],
    ['EFBIG', 'STORE_FULL'],
    ['EACCES', 'STORE_ACCESS_DENIED'],
    ['EPERM', 'STORE_ACCESS_DENIED'],
    ['EROFS', 'STORE_ACCESS_DENIED'],
    ['ETIMEDOUT', 'STORE_UNREACHABLE'],
    ['EIO', 'STORE_UNAVAILABLE'],
    ['EMFILE', 'STORE_UNAVAILABLE'],
    ['ESTALE', 'STORE_UNAVAILABLE'],
    ['ENAMETOOLONG', 'URI_INVALID'],
  ])('with %s is %s', (errno, code) => {
    const error = fileStoreError(systemError(errno), { action: 'write', path: '/data/k' });
    expect(error).toBeInstanceOf(ImagemillError);
    expect(error).toMatchObject({ code, message: `expected to write "/data/k", got ${errno}: no luck` });
  });

  it('is told from other errors, which stay what they are', () => {
    const others = [
      new Error('something else'),
      new ImagemillError('STORE_FULL', 'known'),
      Object.assign(new Error('a library’s'), { code: 'ERR_INVALID_ARG_TYPE' }),
      'not an error',
    ];
    for (const other of others) expect(fileStoreError(other, { action: 'read', path: '/x' })).toBe(other);
  });
});
