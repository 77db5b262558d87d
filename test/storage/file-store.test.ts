import { execFileSync } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TEMPORARY_PREFIX } from '../../src/storage/file-listing.ts';
import { FileStore } from '../../src/storage/file-store.ts';
import { fileKind } from '../support/object-stores.ts';
import { expectCode, keysOf, patternOf, streamOf } from './contract-helpers.ts';
import { describeObjectStore } from './object-store-contract.ts';

const ROOT_USER = process.geteuid?.() === 0;
const NOBODY = 65_534;

describeObjectStore(fileKind());

describe('a folder as a store', () => {
  let folder: string;
  let store: FileStore;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagemill-file-'));
    store = new FileStore(join(folder, 'root'));
  });
  afterEach(async () => {
    execFileSync('chmod', ['-R', 'u+rwX', folder]);
    await rm(folder, { recursive: true, force: true });
  });
  const put = (key: string, text = key): Promise<void> => store.put(key, new TextEncoder().encode(text));

  it.each([
    '../out',
    'a/../../out',
    '/etc/passwd',
    'a//b',
    'a/',
    '.',
    './a',
    'a/./b',
    'a\0b',
    `${TEMPORARY_PREFIX}x`,
  ])('refuses the key %j in every method', async (key) => {
    await put('a/inside');
    await writeFile(join(folder, 'out'), 'outside');
    await expectCode(store.get(key), 'URI_INVALID');
    await expectCode(store.getStream(key), 'URI_INVALID');
    await expectCode(store.head(key), 'URI_INVALID');
    await expectCode(put(key), 'URI_INVALID');
    await expectCode(store.putIfAbsent(key, new Uint8Array()), 'URI_INVALID');
    await expectCode(store.putStream(key, streamOf(new Uint8Array(1), 1)), 'URI_INVALID');
    await expectCode(store.delete(key), 'URI_INVALID');
    expect(() => store.uriOf(key)).toThrow(/expected a key/);
    expect(await readFile(join(folder, 'out'), 'utf8')).toBe('outside');
    expect(await keysOf(store)).toEqual(['a/inside']);
  });

  it('refuses prefixes that lead out, and lists none of what is there', async () => {
    await put('a');
    await writeFile(join(folder, 'out'), 'outside');
    for (const prefix of ['../', '../o', '/', 'x/../../']) {
      await expectCode((async () => keysOf(store, prefix))(), 'URI_INVALID');
    }
    expect(await keysOf(store, '..')).toEqual([]);
  });

  it('lists STORE_NOT_FOUND where its root is missing or a file', async () => {
    const error = await expectCode(keysOf(store), 'STORE_NOT_FOUND');
    expect(error.message).toContain(join(folder, 'root'));
    await writeFile(join(folder, 'root'), 'a file');
    await expectCode(keysOf(store), 'STORE_NOT_FOUND');
    await expectCode(keysOf(store, 'a/b'), 'STORE_NOT_FOUND');
  });

  it('hides temporary files, and leaves none behind', async () => {
    await put('a/k');
    await writeFile(join(folder, 'root/a', `${TEMPORARY_PREFIX}123`), 'half');
    let during: string[] = [];
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield patternOf(1000);
      during = (await readdir(join(folder, 'root/a'))).filter((name) => name.startsWith(TEMPORARY_PREFIX));
      expect(await keysOf(store)).toEqual(['a/k']);
      throw new Error('broke');
    }
    await expect(store.putStream('a/new', chunks())).rejects.toThrow('broke');
    expect(during).toHaveLength(2);
    await Promise.all(Array.from({ length: 8 }, () => store.putIfAbsent('a/once', new Uint8Array(9))));
    expect((await readdir(join(folder, 'root/a'))).sort()).toEqual([`${TEMPORARY_PREFIX}123`, 'k', 'once']);
  });

  it('follows links to files and folders, but not in circles', async () => {
    await put('photos/1.jpg', 'one');
    await put('photos/sub/2.jpg');
    await mkdir(join(folder, 'elsewhere'));
    await writeFile(join(folder, 'elsewhere/3.jpg'), 'three');
    const root = join(folder, 'root');
    await symlink(join(folder, 'elsewhere'), join(root, 'photos/linked'));
    await symlink('../photos', join(root, 'photos/loop'));
    await symlink(root, join(root, 'photos/sub/up'));
    await symlink('1.jpg', join(root, 'photos/a-link.jpg'));
    await symlink('nowhere', join(root, 'photos/dangling.jpg'));
    await symlink('self', join(root, 'photos/self'));
    expect(await keysOf(store)).toEqual([
      'photos/1.jpg',
      'photos/a-link.jpg',
      'photos/linked/3.jpg',
      'photos/sub/2.jpg',
    ]);
    expect(await keysOf(store, '', 'photos/linked/3.jpg')).toEqual(['photos/sub/2.jpg']);
    expect(await store.head('photos/a-link.jpg')).toMatchObject({ bytes: 3 });
    await expectCode(store.get('photos/dangling.jpg'), 'OBJECT_NOT_FOUND');
    await expectCode(store.get('photos/self'), 'OBJECT_NOT_FOUND');
    await put('photos/a-link.jpg', 'no longer a link');
    expect((await lstat(join(root, 'photos/a-link.jpg'))).isSymbolicLink()).toBe(false);
    expect(await readFile(join(root, 'photos/1.jpg'), 'utf8')).toBe('one');
  });

  it('takes folders and pipes for absent objects, without waiting on them', async () => {
    await put('folder/k');
    execFileSync('mkfifo', [join(folder, 'root/pipe')]);
    for (const key of ['folder', 'pipe', 'folder/k/below', `long/${'x'.repeat(300)}`]) {
      await expectCode(store.get(key), 'OBJECT_NOT_FOUND');
      expect(await store.head(key)).toBeNull();
    }
    expect(await keysOf(store)).toEqual(['folder/k']);
    await store.delete('folder');
    await store.delete('folder/k/below');
    expect(await keysOf(store)).toEqual(['folder/k']);
  });

  it('refuses what a file system cannot hold', async () => {
    await put('folder/k');
    for (const key of ['folder', 'folder/k/below', 'x'.repeat(300)]) {
      await expectCode(put(key), 'URI_INVALID');
      await expectCode(store.putIfAbsent(key, new Uint8Array(1)), 'URI_INVALID');
      await expectCode(store.putStream(key, streamOf(new Uint8Array(1), 1)), 'URI_INVALID');
    }
    expect(await keysOf(store)).toEqual(['folder/k']);
    expect(await readdir(join(folder, 'root'))).toEqual(['folder']);
  });

  it('shows a name that is not UTF-8, so that it can be reported', async () => {
    await put('z');
    await writeFile(Buffer.concat([Buffer.from(`${folder}/root/caf`), Buffer.from([0xe9])]), 'latin-1');
    expect(await keysOf(store)).toEqual(['caf\uFFFD', 'z']);
    await expectCode(store.get('caf\uFFFD'), 'OBJECT_NOT_FOUND');
  });

  it('does not read folders that end before the start', async () => {
    for (const key of ['a/1', 'b/c/1', 'b/d/1', 'b/d/2', 'c/1']) await put(key);
    // Reading this one fails.
    await rm(join(folder, 'root/a'), { recursive: true });
    await mkdir(join(folder, 'root/a'), { mode: 0o000 });
    await asNobody(folder, async () => {
      expect(await keysOf(store, '', 'b/d/1')).toEqual(['b/d/2', 'c/1']);
      expect(await keysOf(store, 'b/')).toEqual(['b/c/1', 'b/d/1', 'b/d/2']);
      await expectCode(keysOf(store), 'STORE_ACCESS_DENIED');
    });
  });

  it('maps a refusal by the file system', async () => {
    await put('locked/k');
    await chmod(join(folder, 'root/locked'), 0o555);
    await chmod(join(folder, 'root/locked/k'), 0o000);
    await asNobody(folder, async () => {
      const error = await expectCode(put('locked/new'), 'STORE_ACCESS_DENIED');
      expect(error.message).toContain(join(folder, 'root/locked/new'));
      await expectCode(store.putIfAbsent('locked/new', new Uint8Array()), 'STORE_ACCESS_DENIED');
      await expectCode(put('locked/deeper/new'), 'STORE_ACCESS_DENIED');
      await expectCode(store.delete('locked/k'), 'STORE_ACCESS_DENIED');
      await expectCode(store.get('locked/k'), 'STORE_ACCESS_DENIED');
    });
  });

  it('renders spaces, #, ? and % in URIs percent-encoded', () => {
    const odd = new FileStore('/data/my #1 100%?');
    expect(odd.rootUri).toBe('file:///data/my%20%231%20100%25%3F/');
    expect(odd.uriOf('a b/é.jpg')).toBe('file:///data/my%20%231%20100%25%3F/a%20b/%C3%A9.jpg');
    expect(new FileStore('/').rootUri).toBe('file:///');
    expect(new FileStore('/').uriOf('etc/hosts')).toBe('file:///etc/hosts');
  });
});

/** Runs something without the rights of the root user, whom permissions do not stop. */
async function asNobody(folder: string, run: () => Promise<void>): Promise<void> {
  if (!ROOT_USER) return run();
  execFileSync('chown', ['-R', String(NOBODY), folder]);
  process.seteuid?.(NOBODY);
  try {
    await run();
  } finally {
    process.seteuid?.(0);
  }
}

/** A file system of 256 KiB; null where this machine lets us mount none. */
async function mountTiny(): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'imagemill-tiny-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    await rm(folder, { recursive: true });
    return null;
  }
}

const tiny = await mountTiny();
afterAll(async () => {
  if (tiny === null) return;
  execFileSync('umount', [tiny]);
  await rm(tiny, { recursive: true });
});

describe('a full disk', () => {
  let store: FileStore;
  beforeAll(() => {
    store = new FileStore(join(tiny ?? '/nowhere', 'root'));
  });

  it.skipIf(tiny === null)(
    `is STORE_FULL, and leaves the old object and nothing else${tiny === null ? ' (skipped: needs mount)' : ''}`,
    async () => {
      await store.put('k', new Uint8Array(1000));
      const large = new Uint8Array(400 * 1024);
      await expectCode(store.put('k', large), 'STORE_FULL');
      await expectCode(store.putIfAbsent('new', large), 'STORE_FULL');
      await expectCode(store.putStream('k', streamOf(large, 10_000)), 'STORE_FULL');
      expect(await store.get('k')).toHaveLength(1000);
      expect(await readdir(join(tiny ?? '', 'root'))).toEqual(['k']);
    },
  );
});
