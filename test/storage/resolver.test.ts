import * as fc from 'fast-check';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { NO_S3 } from '../support/object-stores.ts';

const resolver = createStoreResolver({ s3: NO_S3 });
const uriOf = (uri: string): string => {
  const { store, key } = resolver.resolve(uri);
  return store.uriOf(key);
};

function faultOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ImagemillError && error.code === 'URI_INVALID') return error.message;
    throw error;
  }
  return expect.fail('nothing was thrown');
}

describe('opening a location', () => {
  it.each([
    ['s3://photos', 's3://photos/'],
    ['s3://photos/', 's3://photos/'],
    ['s3://photos/2024/a', 's3://photos/2024/a/'],
    ['s3://photos/2024/a/', 's3://photos/2024/a/'],
    ['s3://photos/100%25 #1?/', 's3://photos/100%25 #1?/'],
    ['s3://photos//twice', 's3://photos//twice/'],
    ['S3://photos/x', 's3://photos/x/'],
    ['memory://m', 'memory://m/'],
    ['memory://m/a', 'memory://m/a/'],
    ['file:///data/my%20photos', 'file:///data/my%20photos/'],
    ['file:///data/my photos/', 'file:///data/my%20photos/'],
    ['file://localhost/data', 'file:///data/'],
    ['file:///', 'file:///'],
    ['/', 'file:///'],
    ['/data/100% #1?', 'file:///data/100%25%20%231%3F/'],
    ['/data/../data/./x//y/', 'file:///data/x/y/'],
    ['/odd:colon/s3', 'file:///odd:colon/s3/'],
  ])('%s is %s', (uri, root) => {
    expect(resolver.open(uri).rootUri).toBe(root);
  });

  it('takes plain paths from the working directory', () => {
    expect(resolver.open('photos').rootUri).toBe(`file://${process.cwd()}/photos/`);
    expect(resolver.open('.').rootUri).toBe(`file://${process.cwd()}/`);
  });
});

describe('resolving an object', () => {
  it.each([
    ['s3://photos/a.jpg', 's3://photos/', 'a.jpg'],
    ['s3://photos/a b/%20#?.jpg', 's3://photos/', 'a b/%20#?.jpg'],
    ['s3://photos//twice', 's3://photos/', '/twice'],
    ['s3://photos/marker/', 's3://photos/', 'marker/'],
    ['memory://m/a/b', 'memory://m/', 'a/b'],
    ['file:///data/a%20b%23.jpg', 'file:///', 'data/a b#.jpg'],
    ['/data/a b%20.jpg', 'file:///', 'data/a b%20.jpg'],
    ['/data/x/../a.jpg', 'file:///', 'data/a.jpg'],
  ])('%s is below %s at %s', (uri, root, key) => {
    const resolved = resolver.resolve(uri);
    expect(resolved.store.rootUri).toBe(root);
    expect(resolved.key).toBe(key);
  });

  it.each([
    's3://photos',
    's3://photos/',
    'memory://m',
    '/',
    'file:///',
    '/data/',
    'file:///data/',
    '.',
    '/data/..',
  ])('refuses %s, which names no object', (uri) => {
    expect(faultOf(() => resolver.resolve(uri))).toContain('folder');
  });

  it('gives back any path and any key, whatever is in it', () => {
    const segment = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 8 })
      .filter((text) => !/[/\0]|\p{Surrogate}/u.test(text) && text !== '.' && text !== '..');
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const key = segments.join('/');
        const file = resolver.resolve(resolver.open('/root').uriOf(key));
        expect(file.key).toBe(`root/${key}`);
        expect(uriOf(file.store.uriOf(file.key))).toBe(file.store.uriOf(file.key));
        expect(resolver.resolve(`/root/${key}`).key).toBe(`root/${key}`);
        expect(resolver.resolve(resolver.open('s3://photos/x').uriOf(key)).key).toBe(`x/${key}`);
      }),
      { numRuns: 300 },
    );
  });
});

describe('anything else', () => {
  it.each([
    '',
    'http://host/a.jpg',
    'https://host/a.jpg',
    'gs://bucket/a',
    'az://bucket/a',
    's3://',
    's3:///key',
    's3://-bad/key',
    's3://b/key',
    's3://buc ket/key',
    's3:bucket/key',
    's3:/bucket/key',
    'file:data',
    'file:/data',
    'file://host/data',
    'file:///data/a%2Fb',
    'file:///data/100%',
    'file:///data/a#b',
    'file:///data/a?b',
    'file:///data/a\nb',
    'file:///data/a ',
    'file:///data/a\\b',
    '/data/nul\0byte',
    'file:///data/nul%00byte',
    's3://photos/half\uD83D',
    'memory://',
    'memory:///x',
  ])('%j is URI_INVALID to open and to resolve', (uri) => {
    expect(faultOf(() => resolver.open(uri))).toContain('expected s3://bucket/key');
    expect(faultOf(() => resolver.resolve(uri))).toContain('expected s3://bucket/key');
  });

  it.each(['s3://AKID:hunter2@photos/k', 'http://me:hunter2@host/x', 'file://me:hunter2@host/x'])(
    'keeps the password of %s to itself',
    (uri) => {
      expect(faultOf(() => resolver.open(uri))).not.toContain('hunter2');
    },
  );
});

describe('paths that only look like URIs', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'imagemill-resolver-')));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('reads and writes through a path, its URI and its root alike', async () => {
    const path = join(folder, 'my #1 100%.jpg');
    const written = resolver.resolve(path);
    await written.store.put(written.key, new TextEncoder().encode('here'));
    const open = resolver.open(folder);
    expect(await open.get('my #1 100%.jpg')).toHaveLength(4);
    expect(open.uriOf('my #1 100%.jpg')).toBe(written.store.uriOf(written.key));
    const read = resolver.resolve(open.uriOf('my #1 100%.jpg'));
    expect(await read.store.get(read.key)).toHaveLength(4);
  });
});
