import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  canonicalUri,
  refuseEmptySource,
  refuseOutputInsideSource,
} from '../../src/producer/check-source.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { NO_S3 } from '../support/object-stores.ts';

const resolver = createStoreResolver({ s3: NO_S3 });

describe('canonicalUri', () => {
  it.each([
    ['/data/photos', 'file:///data/photos'],
    ['/data/photos/', 'file:///data/photos/'],
    ['/data/a/../photos', 'file:///data/photos'],
    ['file:///data/photos', 'file:///data/photos'],
    ['/data/{000..004}.tar', 'file:///data/{000..004}.tar'],
    ['s3://bucket/photos', 's3://bucket/photos'],
    ['s3://bucket/photos/', 's3://bucket/photos/'],
    ['memory://photos/cats', 'memory://photos/cats'],
  ])('%s is %s', (uri, canonical) => {
    expect(canonicalUri(resolver, uri)).toBe(canonical);
  });

  it('does not depend on the folder that a path was typed in', () => {
    expect(canonicalUri(resolver, relative(process.cwd(), '/data/photos'))).toBe('file:///data/photos');
  });

  it('is the same when it is taken again', () => {
    for (const uri of ['/da ta/ü/', '/a%b', '/a{1,2}.tar', 's3://bucket/x y']) {
      const once = canonicalUri(resolver, uri);
      expect(canonicalUri(resolver, once)).toBe(once);
    }
  });
});

describe('refuseOutputInsideSource', () => {
  const refusal = (source: string, out: string) => {
    try {
      refuseOutputInsideSource(canonicalUri(resolver, source), resolver.open(out));
      return null;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it.each([
    ['/photos', '/photos/out'],
    ['/photos/', '/photos/out/'],
    ['/photos', '/photos'],
    ['/photos', '/elsewhere/../photos/a/b'],
    ['s3://bucket/photos/', 's3://bucket/photos/labels'],
    ['s3://bucket', 's3://bucket/labels'],
  ])('of %s: %s is refused', (source, out) => {
    expect(refusal(source, out)).toBe('OUTPUT_INSIDE_SOURCE');
  });

  it.each([
    ['/photos', '/photos-labels'],
    ['/photos/in', '/photos'],
    ['s3://bucket/photos/', 's3://other/photos/labels'],
    ['/photos/list.csv', '/photos/out'],
  ])('of %s: %s is not', (source, out) => {
    expect(refusal(source, out)).toBeNull();
  });
});

describe('refuseEmptySource', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'imagemill-source-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const check = (uri: string, include: string[] = []) =>
    refuseEmptySource({ uri: canonicalUri(resolver, uri), include, exclude: [] }, resolver);

  it('reads no further than the first image', async () => {
    const stores = new TestStores();
    for (let image = 0; image < 10; image++) stores.put(`memory://photos/${image}.jpg`);
    await expect(
      refuseEmptySource({ uri: 'memory://photos/', include: [], exclude: [] }, stores),
    ).resolves.toBeUndefined();
  });

  it('names a source without images, without any that match, or that is not there', async () => {
    writeFileSync(join(folder, 'notes.txt'), 'no image');
    const empty = await errorOf(check(folder));
    expect([empty.code, empty.message]).toEqual([
      'SOURCE_EMPTY',
      `expected images at file://${folder}, found none`,
    ]);
    writeFileSync(join(folder, 'a.jpg'), 'x');
    await expect(check(folder)).resolves.toBeUndefined();
    expect((await errorOf(check(folder, ['*.png']))).code).toBe('SOURCE_EMPTY');
    expect((await errorOf(check(join(folder, 'gone')))).code).toBe('SOURCE_NOT_FOUND');
  });

  it('reads the whole of a manifest: a bad line at its end is found before the run begins', async () => {
    const list = join(folder, 'list.jsonl');
    writeFileSync(list, `${'{"uri":"a.jpg"}\n'.repeat(2_000)}{"uri":\n`);
    const error = await errorOf(check(list));
    expect([error.code, error.message]).toEqual(['MANIFEST_INVALID', expect.stringContaining('line 2001')]);
  });
});
