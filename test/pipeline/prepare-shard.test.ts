import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { datasetIndexDocument, type DatasetIndex, type Split } from '../../src/contract/dataset.ts';
import { ImagemillError } from '../../src/contract/errors.ts';
import { preparedShardDocument, type Part, type PreparedShard } from '../../src/contract/ledger.ts';
import { PixelSummer } from '../../src/pipeline/prepare/pixel-sums.ts';
import { splitOf } from '../../src/pipeline/prepare/split.ts';
import { openSource } from '../../src/pipeline/source/open-source.ts';
import { readErrors } from '../../src/pipeline/sink/error-rows.ts';
import { sha256 } from '../../src/storage/digest.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import sharp from 'sharp';
import { attempt, fakePrepareRun, fillSource, image, SOURCE, twoClasses } from './prepare/support.ts';
import { collect, errorOf, TestStores } from './source/support.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';

const [run, stores] = [fakePrepareRun(), () => new TestStores()];

async function contentsOf(store: ObjectStore, part: Part): Promise<PreparedShard> {
  const bytes = await store.get(part.part.key);
  expect(part.part).toMatchObject({ bytes: bytes.length, digest: sha256(bytes) });
  return preparedShardDocument.decode(bytes, part.part.key);
}

async function indexOf(store: ObjectStore, prepared: PreparedShard, split: Split): Promise<DatasetIndex> {
  const written = prepared[split];
  if (written === null) throw new Error(`expected images in ${split}`);
  const bytes = await store.get(written.index.key);
  expect(written.index).toMatchObject({ bytes: bytes.length, digest: sha256(bytes), rows: written.items });
  return datasetIndexDocument.decode(bytes, written.index.key);
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of store.list('')) keys.push(...page.map(({ key }) => key));
  return keys;
}

describe('prepareShard', () => {
  it('puts every image into the tar of its split, in order, with its class beside it', async () => {
    const given = stores();
    const items = await twoClasses(given);
    const out = given.open('memory://out/');
    const part = await attempt(given, { run, items, out, shard: 42 });
    const prepared = await contentsOf(out, part);
    expect(part).toMatchObject({
      items: 24,
      labelled: 24,
      errors: null,
      errorsByCode: {},
      part: { rows: 24 },
    });
    expect(part.bytesRead).toBe(items.reduce((sum, { bytes = 0 }) => sum + bytes, 0));
    expect(prepared.classes).toEqual([
      { name: 'cat', items: 12 },
      { name: 'dog', items: 12 },
    ]);
    const seen: string[] = [];
    for (const split of ['train', 'val'] as const) {
      const index = await indexOf(out, prepared, split);
      const tar = await out.get(index.tar);
      expect(index).toMatchObject({ tar: `${split}/000042.tar`, bytes: tar.length, digest: sha256(tar) });
      for (const [at, uri] of index.uris.entries()) {
        const original = await given.open(SOURCE).get(uri.slice(SOURCE.length));
        const digest = sha256(original);
        expect(index.digests[at]).toBe(digest);
        expect(splitOf(digest, run.spec)).toBe(split);
        expect(index.labels[index.classes[at] ?? -1]).toBe(uri.includes('/cat/') ? 'cat' : 'dog');
        expect(index.keys[at]).toBe(
          `000042-${String(items.findIndex((item) => item.uri === uri)).padStart(8, '0')}`,
        );
        const [offset = 0, length = 0] = [index.offsets[at], index.lengths[at]];
        const metadata = await sharp(tar.subarray(offset, offset + length)).metadata();
        expect([metadata.format, metadata.width, metadata.height]).toEqual([
          'png',
          index.widths[at],
          index.heights[at],
        ]);
        expect(Math.min(metadata.width, metadata.height)).toBe(16);
        seen.push(uri);
      }
      expect(index.keys).toEqual(index.keys.toSorted());
    }
    expect(seen.toSorted()).toEqual(items.map(({ uri }) => uri));
  });

  it('sums the pixels of the training images, and of no others', async () => {
    const given = stores();
    const items = await twoClasses(given, 6);
    const out = given.open('memory://out/');
    const prepared = await contentsOf(out, await attempt(given, { run, items, out }));
    const index = await indexOf(out, prepared, 'train');
    const tar = await out.get(index.tar);
    const summer = new PixelSummer();
    for (const [at, offset] of index.offsets.entries()) {
      summer.add(
        await sharp(tar.subarray(offset, offset + (index.lengths[at] ?? 0)))
          .raw()
          .toBuffer(),
      );
    }
    expect(prepared.sums).toEqual(summer.sums());
    expect(prepared.val).not.toBeNull();
  });

  it('makes tars that our own source lists with labels, and tar reads', async () => {
    const given = stores();
    const items = await twoClasses(given, 5);
    const out = given.open('memory://out/');
    await attempt(given, { run: fakePrepareRun({ valFraction: 0, encoding: 'jpeg' }), items, out, shard: 3 });
    const entries = await collect(await openSource({ uri: 'memory://out/train/' }, given));
    expect(entries.map(({ item }) => item.label)).toEqual(items.map(({ uri }) => uri.split('/').at(-2)));
    expect(entries[0]?.item.uri).toBe('memory://out/train/000003.tar#000003-00000000.jpg');
    const folder = mkdtempSync(join(tmpdir(), 'imagemill-shard-'));
    try {
      writeFileSync(join(folder, 'a.tar'), await out.get('train/000003.tar'));
      const names = execFileSync('tar', ['-tf', join(folder, 'a.tar')])
        .toString()
        .trimEnd()
        .split('\n');
      expect(names).toHaveLength(2 * items.length);
      expect(names.slice(0, 2)).toEqual(['000003-00000000.jpg', '000003-00000000.cls']);
      expect(execFileSync('tar', ['-xOf', join(folder, 'a.tar'), '000003-00000009.cls']).toString()).toBe(
        'dog',
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('takes a dataset as a source again and puts the same images into classes of the same names', async () => {
    const given = stores();
    const items = await twoClasses(given, 4);
    await attempt(given, {
      run: fakePrepareRun({ valFraction: 0 }),
      items,
      out: given.open('memory://out/'),
    });
    const again = await collect(await openSource({ uri: 'memory://out/train/' }, given));
    const out = given.open('memory://again/');
    const source = { uri: 'memory://out/train/', include: [], exclude: [] };
    const part = await attempt(given, {
      run: fakePrepareRun({ source }),
      items: again.map(({ item }) => item),
      out,
    });
    expect((await contentsOf(out, part)).classes).toEqual([
      { name: 'cat', items: 4 },
      { name: 'dog', items: 4 },
    ]);
  });

  it('makes a row in errors of a bad item, counts it for its class, and prepares the others', async () => {
    const given = stores();
    const items = fillSource(given, {
      'cat/0.png': await image(0),
      'cat/1.png': Buffer.from('no image'),
      'dog/0.png': new Uint8Array(0),
      'root.png': await image(1),
    });
    items.push({ uri: `${SOURCE}dog/gone.png` });
    const out = given.open('memory://out/');
    const part = await attempt(given, { run, items, out });
    expect(part).toMatchObject({
      items: 5,
      labelled: 1,
      errorsByCode: { IMAGE_FORMAT_UNKNOWN: 1, IMAGE_EMPTY: 1, LABEL_MISSING: 1, ITEM_NOT_FOUND: 1 },
      errors: { key: 'errors/000000.token00001.jsonl', rows: 4 },
    });
    const codes: string[] = [];
    for await (const page of readErrors(await out.get('errors/000000.token00001.jsonl'))) {
      codes.push(...page.map(({ uri, code }) => `${uri.slice(SOURCE.length)} ${code}`));
    }
    expect(codes).toEqual([
      'cat/1.png IMAGE_FORMAT_UNKNOWN',
      'dog/0.png IMAGE_EMPTY',
      'root.png LABEL_MISSING',
      'dog/gone.png ITEM_NOT_FOUND',
    ]);
    expect((await contentsOf(out, part)).classes).toEqual([
      { name: 'cat', items: 1 },
      { name: 'dog', items: 0 },
    ]);
  });

  it('writes no tar for a shard of nothing but errors', async () => {
    const given = stores();
    const items = fillSource(given, { 'cat/1.png': Buffer.from('no image') });
    const out = given.open('memory://out/');
    const part = await attempt(given, { run, items, out });
    expect(part).toMatchObject({ items: 1, labelled: 0, part: { rows: 0 } });
    expect(await contentsOf(out, part)).toMatchObject({ train: null, val: null, sums: { pixels: '0' } });
    expect(await keysOf(out)).toEqual(['errors/000000.token00001.jsonl', 'parts/000000.token00001.json']);
  });
});

describe('a retry', () => {
  it('finds the tars of the attempt before it and leaves them, though images arrive in another order', async () => {
    const given = stores();
    const items = await twoClasses(given, 8);
    const out = given.open('memory://out/');
    const first = await contentsOf(out, await attempt(given, { run, items, out }));
    const etags = async () =>
      Promise.all(['train', 'val'].map(async (split) => (await out.head(`${split}/000000.tar`))?.etag));
    const before = await etags();
    const reader = {
      read: async (item: { uri: string }) => {
        await new Promise((resolve) => setTimeout(resolve, item.uri.includes('/cat/') ? 30 : 0));
        return given.open(SOURCE).get(item.uri.slice(SOURCE.length));
      },
    };
    const second = await contentsOf(
      out,
      await attempt(given, { run, items, out, token: 'token00002' }, { reader }),
    );
    expect(await etags()).toEqual(before);
    expect(second.sums).toEqual(first.sums);
    expect(second.train?.tar).toEqual(first.train?.tar);
    expect(second.train?.index.digest).toBe(first.train?.index.digest);
    expect(second.train?.index.key).toBe('train/000000.token00002.index.json');
  });

  it.each([
    ['of another size', Buffer.from('an older attempt')],
    ['of the same size', null],
  ])('leaves another tar alone that is %s, and names its own after its token', async (_what, other) => {
    const given = stores();
    const items = await twoClasses(given, 8);
    const reference = given.open('memory://reference/');
    const expected = await contentsOf(reference, await attempt(given, { run, items, out: reference }));
    const out = given.open('memory://out/');
    const squatter = other ?? new Uint8Array(expected.train?.tar.bytes ?? 0);
    await out.put('train/000000.tar', squatter);
    const prepared = await contentsOf(out, await attempt(given, { run, items, out }));
    expect(Buffer.compare(await out.get('train/000000.tar'), squatter)).toBe(0);
    expect(prepared.train?.tar).toEqual({ ...expected.train?.tar, key: 'train/000000.token00001.tar' });
    expect(prepared.val?.tar).toEqual(expected.val?.tar);
    const index = await indexOf(out, prepared, 'train');
    expect(index.tar).toBe('train/000000.token00001.tar');
    expect(sha256(await out.get(index.tar))).toBe(index.digest);
  });

  it('takes a lost reply to its own put for success', async () => {
    const given = stores();
    const items = await twoClasses(given, 4);
    const out = given.open('memory://out/');
    const forgetful = wrapStore(out, {
      putIfAbsent: async (key, body) => {
        await out.putIfAbsent(key, body);
        return false;
      },
    });
    const prepared = await contentsOf(out, await attempt(given, { run, items, out: forgetful }));
    expect(prepared.train?.tar.key).toBe('train/000000.tar');
  });
});

describe('a failing attempt', () => {
  it('stops at an abort and commits nothing', async () => {
    const given = stores();
    const items = await twoClasses(given, 8);
    const out = given.open('memory://out/');
    const abort = new AbortController();
    let reads = 0;
    const reader = {
      read: async (item: { uri: string }) => {
        if (++reads === 5) abort.abort(new Error('stop'));
        return given.open(SOURCE).get(item.uri.slice(SOURCE.length));
      },
    };
    await expect(attempt(given, { run, items, out, signal: abort.signal }, { reader })).rejects.toThrow(
      'stop',
    );
    expect(await keysOf(out)).toEqual([]);
  });

  it('fails as a whole when the store does', async () => {
    const given = stores();
    const items = await twoClasses(given, 4);
    const fault = new ImagemillError('STORE_UNAVAILABLE', 'slow down');
    const reader = { read: () => Promise.reject(fault) };
    const out = given.open('memory://out/');
    await expect(attempt(given, { run, items, out }, { reader })).rejects.toBe(fault);
    const full = wrapStore(out, { put: () => Promise.reject(new ImagemillError('STORE_FULL', 'full')) });
    expect((await errorOf(attempt(given, { run, items, out: full }))).code).toBe('STORE_FULL');
  });

  it('says what to do where a tar would become too large', async () => {
    const given = stores();
    const items = await twoClasses(given, 4);
    const out = given.open('memory://out/');
    const error = await errorOf(attempt(given, { run, items, out }, { maxTarBytes: 4_096 }));
    expect(error.code).toBe('USAGE');
    expect(error.message).toContain('smaller --shard-size');
    expect(await keysOf(out)).toEqual([]);
  });
});
