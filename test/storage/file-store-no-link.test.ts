import type * as FsPromises from 'node:fs/promises';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { fileKind, freshStore } from '../support/object-stores.ts';
import { describeObjectStore } from './object-store-contract.ts';

// As on exFAT, SMB shares and some FUSE file systems.
vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof FsPromises>();
  const link = async (): Promise<never> => {
    const fault = new Error('EPERM: operation not permitted, link');
    throw Object.assign(fault, { code: 'EPERM', errno: -1, syscall: 'link' });
  };
  return { ...original, link, default: { ...original, link } };
});

const kind = fileKind();
describeObjectStore({ ...kind, name: 'file store without hard links' }, () => {
  it('leaves no temporary file behind', async () => {
    const store = await freshStore(kind);
    expect(await store.putIfAbsent('k', new Uint8Array(3))).toBe(true);
    expect(await store.putIfAbsent('k', new Uint8Array(3))).toBe(false);
    expect(await readdir(fileURLToPath(store.rootUri))).toEqual(['k']);
  });
});
