import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { openListing, openSource } from '../../../src/pipeline/source/open-source.ts';
import { MemoryStore } from '../../../src/storage/memory-store.ts';
import { readSettings } from '../../../src/config/environment.ts';
import { createStoreResolver } from '../../../src/storage/resolver.ts';
import { collect, errorOf, TestStores, urisOf } from './support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';
import { END_OF_TAR, member } from './tar-fixture.ts';

const tar = Buffer.concat([member({ name: 'm.jpg' }, 'x'), END_OF_TAR]);

function storesWith(...keys: string[]): TestStores {
  const stores = new TestStores();
  for (const key of keys) stores.put(`memory://m/${key}`, key.endsWith('.tar') ? tar : 'x');
  return stores;
}

async function kindOf(uri: string, stores: TestStores): Promise<string> {
  return (await openListing({ uri }, stores)).kind;
}

describe('openSource', () => {
  it.each([
    ['memory://m/in/', ['in/a.jpg'], 'prefix'],
    ['memory://m/in', ['in/a.jpg'], 'prefix'],
    ['memory://m', ['a.jpg'], 'prefix'],
    ['memory://m/in/', [], 'prefix'],
    ['memory://m/list.csv', ['list.csv'], 'manifest'],
    ['memory://m/LIST.NdJson', ['LIST.NdJson'], 'manifest'],
    ['memory://m/list.csv/', ['list.csv/a.jpg'], 'prefix'],
    ['memory://m/a.TAR', ['a.TAR'], 'tar'],
    ['memory://m/in/', ['in/0.tar', 'in/1.tar'], 'tar'],
    ['memory://m/in/', ['in/.x.jpg', 'in/0.tar', 'in/1.tar', 'in/z.png'], 'tar'],
    ['memory://m/in/', ['in/0.tar', 'in/a.jpg', 'in/b.jpg'], 'prefix'],
    ['memory://m/in/', ['in/0.jpg', 'in/a.tar', 'in/b.tar'], 'prefix'],
  ])('takes %s with %j for a %s', async (uri, keys, kind) => {
    expect(await kindOf(uri, storesWith(...keys))).toBe(kind);
  });

  it('lists a single image, with or without an extension, once', async () => {
    for (const key of ['photos/a.jpg', 'photos/5d41402a']) {
      const source = await openSource({ uri: `memory://m/${key}` }, storesWith(key, `${key}.jpg`));
      const [entry, ...more] = await collect(source);
      expect(entry?.item).toEqual({ uri: `memory://m/${key}`, bytes: 1 });
      expect(more).toEqual([]);
      expect(await collect(source, entry?.cursor)).toEqual([]);
    }
  });

  it('takes a folder that is named like an image for a folder', async () => {
    const stores = storesWith('set.jpg/a.png');
    expect(await urisOf(await openSource({ uri: 'memory://m/set.jpg' }, stores))).toEqual([
      'memory://m/set.jpg/a.png',
    ]);
  });

  it('takes a prefix with a marker object of the same name for a prefix', async () => {
    const stores = storesWith('photos', 'photos/a.jpg');
    expect(await urisOf(await openSource({ uri: 'memory://m/photos' }, stores))).toEqual([
      'memory://m/photos/a.jpg',
    ]);
  });

  it('lists a single file on disk', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'source-'));
    try {
      for (const name of ['a b.jpg', 'noextension']) {
        await writeFile(join(folder, name), 'x');
        const uris = await urisOf(await openSource({ uri: join(folder, name) }, new TestStores()));
        expect(uris).toEqual([`file://${folder}/${name.replace(' ', '%20')}`]);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('finds tars in brace notation in a file URI, where the braces are encoded', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'source-'));
    try {
      for (const name of ['0.tar', '1.tar']) await writeFile(join(folder, name), tar);
      const source = await openSource({ uri: `file://${folder}/%7B0..1%7D.tar` }, new TestStores());
      expect(await urisOf(source)).toEqual([`file://${folder}/0.tar#m.jpg`, `file://${folder}/1.tar#m.jpg`]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each([
    'memory://m/none.jpg',
    'memory://m/none.csv',
    'memory://m/none.tar',
    '/nonexistent/x',
    '/nonexistent/x.jpg',
  ])('says SOURCE_NOT_FOUND with the address for %s', async (uri) => {
    const error = await errorOf(openSource({ uri }, new TestStores()));
    expect(error.code).toBe('SOURCE_NOT_FOUND');
    expect(error.message).toContain(uri);
  });

  it.each([
    'memory://m/a.tar.gz',
    'memory://m/a.tgz',
    'memory://m/a.zip',
    'memory://m/list.csv.gz',
    'http://x/y/',
  ])('says URI_INVALID for %s', async (uri) => {
    expect((await errorOf(openSource({ uri }, new TestStores()))).code).toBe('URI_INVALID');
  });

  it('says SOURCE_NOT_FOUND for a bucket that does not exist, and passes other failures on', async () => {
    const answers = [
      ['STORE_NOT_FOUND', 'SOURCE_NOT_FOUND'],
      ['STORE_ACCESS_DENIED', 'STORE_ACCESS_DENIED'],
      ['STORE_UNREACHABLE', 'STORE_UNREACHABLE'],
    ] as const;
    for (const [answer, expected] of answers) {
      const fail = (): Promise<never> => Promise.reject(new ImagemillError(answer, 'no bucket gone'));
      const stores = new TestStores();
      stores.replaced.set(
        'gone',
        wrapStore(new MemoryStore(stores.bucket('gone')), {
          get: fail,
          head: fail,
          list: async function* () {
            yield await fail();
          },
        }),
      );
      for (const name of ['', 'in/', 'in', 'a.jpg', 'l.csv', 'l.parquet', 'a.tar', '{0..1}.tar']) {
        const error = await errorOf(openSource({ uri: `memory://gone/${name}` }, stores));
        expect([name, error.code]).toEqual([name, expected]);
      }
    }
  });
});

describe('with the resolver that runs use', () => {
  const resolver = createStoreResolver({ s3: readSettings({}).s3 });

  it('opens every kind of source', async () => {
    const objects = {
      'p/a.jpg': 'x',
      'p/sub/b b.png': 'x',
      'l.csv': 'uri,label\np/a.jpg,cat\nmemory://other/c.jpg,\n/files/d e.jpg,dog\n',
      't/0.tar': tar,
      't/1.tar': tar,
    };
    for (const [key, body] of Object.entries(objects)) {
      const { store, key: name } = resolver.resolve(`memory://kinds/${key}`);
      await store.put(name, Buffer.from(body));
    }
    const list = async (uri: string) => urisOf(await openSource({ uri }, resolver));
    expect(await list('memory://kinds/p')).toEqual([
      'memory://kinds/p/a.jpg',
      'memory://kinds/p/sub/b b.png',
    ]);
    expect(await list('memory://kinds/p/a.jpg')).toEqual(['memory://kinds/p/a.jpg']);
    expect(await list('memory://kinds')).toHaveLength(2);
    expect(await list('memory://nothing')).toEqual([]);
    expect(await list('memory://kinds/t/')).toEqual([
      'memory://kinds/t/0.tar#m.jpg',
      'memory://kinds/t/1.tar#m.jpg',
    ]);
    expect(await list('memory://kinds/t/{0..1}.tar')).toHaveLength(2);
    expect(await list('memory://kinds/l.csv')).toEqual([
      'memory://kinds/p/a.jpg',
      'memory://other/c.jpg',
      'file:///files/d%20e.jpg',
    ]);
  });

  it('refuses addresses that no store has', async () => {
    for (const uri of [
      'ftp://x/y/',
      's3:/bucket/x',
      's3:///x',
      'https://x/y.jpg',
      'ftp://x/l.csv',
      'ftp://x/a.tar',
    ]) {
      expect([uri, (await errorOf(openSource({ uri }, resolver))).code]).toEqual([uri, 'URI_INVALID']);
    }
    const missing = await errorOf(openSource({ uri: '/nonexistent/photos' }, resolver));
    expect(missing.code).toBe('SOURCE_NOT_FOUND');
  });
});
