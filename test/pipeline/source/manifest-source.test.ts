import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSource } from '../../../src/pipeline/source/open-source.ts';
import { validateManifest } from '../../../src/pipeline/source/validate-manifest.ts';
import { collect, errorOf, TestStores, urisOf } from './support.ts';

function withManifest(lines: readonly string[], key = 'lists/l.jsonl'): TestStores {
  const stores = new TestStores();
  stores.put(`memory://m/${key}`, lines.map((line) => JSON.stringify(line)).join('\n'));
  return stores;
}

describe('URIs in a manifest', () => {
  it('are relative to its folder, and may leave it within the bucket', async () => {
    const stores = withManifest([
      'a.jpg',
      './b.jpg',
      '../c.jpg',
      'x/../d.jpg',
      'e//f.jpg',
      '12:30.jpg',
      ' g.jpg',
    ]);
    expect(await urisOf(await openSource({ uri: 'memory://m/lists/l.jsonl' }, stores))).toEqual([
      'memory://m/lists/a.jpg',
      'memory://m/lists/b.jpg',
      'memory://m/c.jpg',
      'memory://m/lists/d.jpg',
      'memory://m/lists/e//f.jpg',
      'memory://m/lists/12:30.jpg',
      'memory://m/lists/ g.jpg',
    ]);
  });

  it('are kept as written where they are absolute; an absolute path becomes a file URI', async () => {
    const stores = withManifest(['memory://other/a%20b.jpg', 'file:///x/a%20b.jpg', '/x/a b.jpg'], 'l.jsonl');
    expect(await urisOf(await openSource({ uri: 'memory://m/l.jsonl' }, stores))).toEqual([
      'memory://other/a%20b.jpg',
      'file:///x/a%20b.jpg',
      'file:///x/a%20b.jpg',
    ]);
  });

  it('are filtered by their path below the folder, or by the address without its scheme', async () => {
    const stores = withManifest([
      'cats/1.jpg',
      'memory://m/lists/cats/2.bin',
      'memory://other/cats/3.jpg',
      'dogs/4.jpg',
    ]);
    const open = (include: string[]) => openSource({ uri: 'memory://m/lists/l.jsonl', include }, stores);
    expect(await urisOf(await open(['cats/*']))).toEqual([
      'memory://m/lists/cats/1.jpg',
      'memory://m/lists/cats/2.bin',
    ]);
    expect(await urisOf(await open(['other/**']))).toEqual(['memory://other/cats/3.jpg']);
    expect(await urisOf(await open([]))).toHaveLength(4);
  });

  it('of a manifest on disk are files beside it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'source-'));
    try {
      await writeFile(join(folder, 'my list.csv'), 'uri\nsub/a b.jpg\n');
      const source = await openSource({ uri: join(folder, 'my list.csv') }, new TestStores());
      expect(await urisOf(source)).toEqual([`file://${folder}/sub/a%20b.jpg`]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a manifest', () => {
  it('that does not exist is SOURCE_NOT_FOUND with its address', async () => {
    const error = await errorOf(openSource({ uri: 'memory://m/none.parquet' }, new TestStores()));
    expect(error.code).toBe('SOURCE_NOT_FOUND');
    expect(error.message).toContain('memory://m/none.parquet');
  });

  it('without rows lists nothing', async () => {
    const stores = new TestStores();
    stores.put('memory://m/a.jsonl', '');
    stores.put('memory://m/b.csv', 'uri\n');
    expect(await collect(await openSource({ uri: 'memory://m/a.jsonl' }, stores))).toEqual([]);
    expect(await collect(await openSource({ uri: 'memory://m/b.csv' }, stores))).toEqual([]);
  });

  it('that was replaced since the cursor was made is refused', async () => {
    const stores = withManifest(['a.jpg', 'b.jpg']);
    const source = await openSource({ uri: 'memory://m/lists/l.jsonl' }, stores);
    const [first] = await collect(source);
    stores.put('memory://m/lists/l.jsonl', '"b.jpg"\n"c.jpg"\n');
    const error = await errorOf(collect(source, first?.cursor));
    expect(error.code).toBe('MANIFEST_INVALID');
    expect(error.message).toContain('changed');
  });

  it('of a kind that is forced must have a known extension', async () => {
    const error = await errorOf(openSource({ uri: 'memory://m/l.txt', kind: 'manifest' }, new TestStores()));
    expect(error.code).toBe('URI_INVALID');
  });
});

describe('validateManifest', () => {
  it('counts the items after filters and limit', async () => {
    const stores = withManifest(['a.jpg', 'b.png', 'c.jpg']);
    const uri = 'memory://m/lists/l.jsonl';
    expect(await validateManifest({ uri }, stores)).toEqual({ items: 3 });
    expect(await validateManifest({ uri, exclude: ['*.png'] }, stores)).toEqual({ items: 2 });
    expect(await validateManifest({ uri, limit: 1 }, stores)).toEqual({ items: 1 });
  });

  it('finds a bad line on a later page', async () => {
    const lines = Array.from({ length: 2_345 }, (_, index) => `${index}.jpg`);
    const stores = withManifest([...lines, 'http://x/y.jpg', 'z.jpg']);
    const error = await errorOf(validateManifest({ uri: 'memory://m/lists/l.jsonl' }, stores));
    expect(error.code).toBe('MANIFEST_INVALID');
    expect(error.message).toContain('l.jsonl line 2346: ');
  });

  it('has nothing to say about other kinds', async () => {
    const stores = new TestStores();
    stores.put('memory://m/in/a.jpg');
    expect(await validateManifest({ uri: 'memory://m/in/' }, stores)).toBeNull();
  });
});
