import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { freshStore, titleOf, type StoreKind } from '../support/object-stores.ts';
import {
  bytesOf,
  collect,
  expectCode,
  keysOf,
  ODD_KEYS,
  pagesOf,
  patternOf,
  streamOf,
  textOf,
} from './contract-helpers.ts';
import { describeListing } from './contract-listing.ts';
import { describeReading, describeStreamedPuts } from './contract-streams.ts';

/** What every store promises. `extra` registers further tests in the same, started kind. */
export function describeObjectStore(kind: StoreKind, extra?: () => void): void {
  describe.skipIf(kind.missing !== null)(titleOf(kind), () => {
    let store: ObjectStore;
    beforeAll(() => kind.start(), 180_000);
    afterAll(() => kind.stop());
    beforeEach(async () => {
      store = await freshStore(kind);
    });
    const current = (): ObjectStore => store;
    describe('objects', () => describeObjects(current));
    describe('ranges and streams', () => describeReading(current));
    describe('streamed puts', () => describeStreamedPuts(current));
    describe('putIfAbsent', () => describePutIfAbsent(current));
    describe('listing', () => describeListing(current, () => freshStore(kind)));
    describe('URIs', () => describeUris(current, kind));
    extra?.();
  });
}

function describeObjects(store: () => ObjectStore): void {
  it('gives back what was put, and replaces it', async () => {
    await store().put('a/b.bin', patternOf(100_003));
    expect(Buffer.compare(await store().get('a/b.bin'), patternOf(100_003))).toBe(0);
    await store().put('a/b.bin', bytesOf('short'));
    expect(textOf(await store().get('a/b.bin'))).toBe('short');
  });

  it('holds empty objects', async () => {
    await store().put('empty', new Uint8Array());
    expect(await store().get('empty')).toHaveLength(0);
    expect(await collect(await store().getStream('empty'))).toHaveLength(0);
    expect(await store().head('empty')).toMatchObject({ key: 'empty', bytes: 0 });
  });

  it('returns bytes that own their buffer, and keeps none of the caller’s', async () => {
    const body = bytesOf('original');
    await store().put('k', body);
    body.fill(0);
    const first = await store().get('k');
    expect(textOf(first)).toBe('original');
    expect(first.byteOffset).toBe(0);
    expect(first.buffer.byteLength).toBe(first.byteLength);
    first.fill(0);
    expect(textOf(await store().get('k'))).toBe('original');
  });

  it('describes an object alike in head and list, and its etag changes with the content', async () => {
    const before = Date.now();
    await store().put('k', bytesOf('one'));
    const head = await store().head('k');
    expect(head).toMatchObject({ key: 'k', bytes: 3 });
    expect(head?.modifiedAt.getTime()).toBeGreaterThan(before - 5_000);
    expect(head?.modifiedAt.getTime()).toBeLessThan(Date.now() + 5_000);
    const [[listed] = []] = await pagesOf(store().list(''));
    expect(listed).toMatchObject({ key: 'k', bytes: 3, etag: head?.etag });
    await store().put('k', bytesOf('two'));
    expect((await store().head('k'))?.etag).not.toBe(head?.etag);
  });

  it('says what is absent', async () => {
    await store().put('there', bytesOf('x'));
    expect(await store().head('absent/far')).toBeNull();
    const error = await expectCode(store().get('absent'), 'OBJECT_NOT_FOUND');
    expect(error.message).toContain('absent');
    await expectCode(store().getStream('absent'), 'OBJECT_NOT_FOUND');
    await expectCode(store().get('absent', { range: { offset: 0, length: 0 } }), 'OBJECT_NOT_FOUND');
    await expectCode(store().get('absent', { range: { offset: 5, length: 1 } }), 'OBJECT_NOT_FOUND');
  });

  it('deletes, also what does not exist', async () => {
    await store().put('k', bytesOf('x'));
    await store().delete('k');
    expect(await store().head('k')).toBeNull();
    await store().delete('k');
    await store().delete('never/was');
    expect(await keysOf(store())).toEqual([]);
  });

  it.each(ODD_KEYS.map((key) => [JSON.stringify(key), key] as const))('holds the key %s', async (_, key) => {
    await store().put(key, bytesOf(key));
    expect(textOf(await store().get(key))).toBe(key);
    expect(await store().head(key)).toMatchObject({ key });
    expect(await keysOf(store())).toEqual([key]);
    expect(await keysOf(store(), key.slice(0, -1))).toEqual([key]);
    expect(await keysOf(store(), '', key)).toEqual([]);
    expect(await store().putIfAbsent(key, bytesOf('other'))).toBe(false);
    await store().delete(key);
    expect(await keysOf(store())).toEqual([]);
  });

  it('refuses keys that no store can hold', async () => {
    for (const key of ['', 'half \uD83D surrogate']) {
      await expectCode(store().put(key, bytesOf('x')), 'URI_INVALID');
      await expectCode(store().get(key), 'URI_INVALID');
      await expectCode(store().head(key), 'URI_INVALID');
      await expectCode(store().delete(key), 'URI_INVALID');
      await expectCode(store().putIfAbsent(key, bytesOf('x')), 'URI_INVALID');
      await expectCode(store().putStream(key, streamOf(bytesOf('x'), 1)), 'URI_INVALID');
    }
  });
}

function describePutIfAbsent(store: () => ObjectStore): void {
  it('creates once and then refuses, the object untouched', async () => {
    expect(await store().putIfAbsent('c/1.json', bytesOf('first'))).toBe(true);
    expect(await store().putIfAbsent('c/1.json', bytesOf('second'))).toBe(false);
    expect(textOf(await store().get('c/1.json'))).toBe('first');
    await store().put('plain', bytesOf('by put'));
    expect(await store().putIfAbsent('plain', bytesOf('late'))).toBe(false);
    expect(textOf(await store().get('plain'))).toBe('by put');
    await store().delete('c/1.json');
    expect(await store().putIfAbsent('c/1.json', bytesOf('again'))).toBe(true);
  });

  it('lets one of 32 racers win, and keeps that one’s bytes', async () => {
    for (let race = 0; race < 3; race++) {
      const key = `race/${race}`;
      const bodies = Array.from({ length: 32 }, (_, racer) => bytesOf(`racer ${racer}`.padEnd(5_000, '.')));
      const won = await Promise.all(bodies.map((body) => store().putIfAbsent(key, body)));
      const winners = bodies.filter((_, racer) => won[racer]);
      expect(winners).toHaveLength(1);
      expect(textOf(await store().get(key))).toBe(textOf(winners[0] ?? new Uint8Array()));
    }
    expect(await keysOf(store())).toHaveLength(3);
  });
}

function describeUris(store: () => ObjectStore, kind: StoreKind): void {
  it.each(ODD_KEYS.map((key) => [JSON.stringify(key), key] as const))(
    'names %s so that it resolves',
    async (_, key) => {
      await store().put(key, bytesOf('here'));
      const resolved = kind.resolver().resolve(store().uriOf(key));
      expect(textOf(await resolved.store.get(resolved.key))).toBe('here');
      expect(resolved.store.uriOf(resolved.key)).toBe(store().uriOf(key));
    },
  );

  it('has a root that ends in a slash and opens again, with or without it', async () => {
    await store().put('folder/k', bytesOf('here'));
    expect(store().rootUri).toMatch(/\/$/);
    for (const uri of [store().rootUri, store().rootUri.slice(0, -1)]) {
      const again = kind.resolver().open(uri);
      expect(again.rootUri).toBe(store().rootUri);
      expect(textOf(await again.get('folder/k'))).toBe('here');
    }
    const below = kind.resolver().open(store().uriOf('folder'));
    expect(await keysOf(below)).toEqual(['k']);
    expect(below.uriOf('k')).toBe(store().uriOf('folder/k'));
  });
}
