import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import * as fc from 'fast-check';
import { parquetWriteBuffer, type ColumnSource } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { openSource } from '../../../src/pipeline/source/open-source.ts';
import type { Source } from '../../../src/pipeline/source/source.ts';
import { MemoryStore } from '../../../src/storage/memory-store.ts';
import { collect, errorOf, expectResumable, TestStores } from './support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

function openBytes(bytes: Uint8Array, stores = new TestStores()): Promise<Source> {
  stores.put('memory://m/lists/l.parquet', bytes);
  return openSource({ uri: 'memory://m/lists/l.parquet' }, stores);
}

const write = (columnData: ColumnSource[], rowGroupSize = 3): Uint8Array =>
  new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize }));
const strings = (name: string, data: (string | null)[]): ColumnSource => ({ name, data, type: 'STRING' });

/** What DuckDB writes for a query: an independent writer with real codecs. */
async function queryToParquet(query: string, options: string): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), 'parquet-'));
  try {
    // With more threads its native library keeps the test process busy for a minute after the last query.
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    const connection = await instance.connect();
    const path = join(folder, 'l.parquet');
    await connection.run(`COPY (${query}) TO '${path}' (FORMAT parquet, ${options})`);
    connection.closeSync();
    instance.closeSync();
    return await readFile(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('a Parquet manifest', () => {
  it('reads uri and label, whatever other columns there are', async () => {
    const bytes = write([
      { name: 'n', data: [1, 2, 3, 4], type: 'INT32' },
      strings('label', ['cat', null, '', 'dog']),
      strings('uri', ['a.jpg', 'memory://o/é.jpg', '日本/c.jpg', 'd.jpg']),
    ]);
    expect((await collect(await openBytes(bytes))).map(({ item }) => item)).toEqual([
      { uri: 'memory://m/lists/a.jpg', label: 'cat' },
      { uri: 'memory://o/é.jpg' },
      { uri: 'memory://m/lists/日本/c.jpg' },
      { uri: 'memory://m/lists/d.jpg', label: 'dog' },
    ]);
  });

  it('takes numbers as labels', async () => {
    const bytes = write([strings('uri', ['a', 'b']), { name: 'label', data: [7n, 8n], type: 'INT64' }]);
    expect((await collect(await openBytes(bytes))).map(({ item }) => item.label)).toEqual(['7', '8']);
  });

  it('continues from a cursor after any row', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a.jpg', 'é.jpg', 'b/c.png'), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 7 }),
        async (uris, rowGroupSize) => {
          const listed = await expectResumable(await openBytes(write([strings('uri', uris)], rowGroupSize)));
          expect(listed.map(({ item }) => item.uri)).toEqual(uris.map((uri) => `memory://m/lists/${uri}`));
        },
      ),
      { numRuns: 25 },
    );
  });

  it('reads row groups larger than a decoding window, as DuckDB writes them', async () => {
    const query =
      "SELECT i AS n, 'photos/' || i || '.jpg' AS uri, 'class' || (i % 7) AS label FROM range(135000) t(i)";
    const bytes = await queryToParquet(query, 'COMPRESSION snappy, ROW_GROUP_SIZE 129024');
    const listed = await collect(await openBytes(bytes));
    expect(listed).toHaveLength(135_000);
    const wrong = listed.filter(
      ({ item }, row) =>
        item.uri !== `memory://m/lists/photos/${row}.jpg` || item.label !== `class${row % 7}`,
    );
    expect(wrong).toEqual([]);
    const rest = await collect(await openBytes(bytes), listed[126_123]?.cursor);
    expect(rest).toHaveLength(8_876);
    expect(rest[0]?.item).toEqual(listed[126_124]?.item);
  });

  it.each(['zstd', 'gzip', 'brotli', 'lz4_raw', 'uncompressed'])('reads the codec %s', async (codec) => {
    const query = "SELECT 'photos/' || i || '.jpg' AS uri, 'class' || (i % 7) AS label FROM range(3000) t(i)";
    const bytes = await queryToParquet(query, `COMPRESSION ${codec}`);
    const listed = await collect(await openBytes(bytes));
    expect(listed.map(({ item }) => item)).toEqual(
      Array.from({ length: 3_000 }, (_, row) => ({
        uri: `memory://m/lists/photos/${row}.jpg`,
        label: `class${row % 7}`,
      })),
    );
  });

  it('fetches the columns it needs, and each of them once', async () => {
    const query =
      "SELECT 'photos/' || i || '.jpg' AS uri, sha256(i::VARCHAR) || sha256((-i)::VARCHAR) AS other FROM range(30000) t(i)";
    const bytes = await queryToParquet(query, 'COMPRESSION zstd, ROW_GROUP_SIZE 20480');
    const stores = new TestStores();
    const store = new MemoryStore(stores.bucket('m'));
    let fetched = 0;
    stores.replaced.set(
      'm',
      wrapStore(store, {
        get: async (key, options) => {
          const body = await store.get(key, options);
          fetched += body.length;
          return body;
        },
      }),
    );
    expect(await collect(await openBytes(bytes, stores))).toHaveLength(30_000);
    expect(bytes.length).toBeGreaterThan(1_500_000);
    expect(fetched).toBeLessThan(400_000);
  });

  it.each([
    ['no uri', [strings('url', ['a'])], 'schema: expected a column "uri", got: url'],
    [
      'a number for a uri',
      [{ name: 'uri', data: [1, 2], type: 'INT32' }],
      'row 1: expected a "uri" that is a string',
    ],
    [
      'a uri that is null',
      [strings('uri', ['a', 'b', 'c', null])],
      'row 4: expected a "uri" that is a string, got none',
    ],
    ['a scheme', [strings('uri', ['a', 'ftp://x/y'])], 'row 2: expected memory://'],
  ] as [string, ColumnSource[], string][])('tells the row of %s', async (_name, columns, message) => {
    const error = await errorOf(openBytes(write(columns)).then((source) => collect(source)));
    expect(error.code).toBe('MANIFEST_INVALID');
    expect(error.message).toContain(`memory://m/lists/l.parquet ${message}`);
  });

  it('says MANIFEST_INVALID, or lists, for a file damaged in any place', async () => {
    const whole = write([strings('uri', ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'])]);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: whole.length }),
        fc.option(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })), { nil: undefined }),
        async (length, flip) => {
          const damaged = flip === undefined ? whole.slice(0, length) : whole.slice();
          if (flip !== undefined) damaged[flip[0]] = (damaged[flip[0]] ?? 0) ^ flip[1];
          const code = await openBytes(damaged)
            .then((source) => collect(source))
            .then(
              () => 'listed',
              (error: unknown) => (error as { code?: string }).code ?? String(error),
            );
          expect(['listed', 'MANIFEST_INVALID']).toContain(code);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('passes a failing store on as what it is', async () => {
    const { ImagemillError } = await import('../../../src/contract/errors.ts');
    const stores = new TestStores();
    const store = new MemoryStore(stores.bucket('m'));
    const get = () => Promise.reject(new ImagemillError('STORE_UNAVAILABLE', 'slow down'));
    stores.replaced.set('m', wrapStore(store, { get }));
    stores.bucket('m').write('lists/l.parquet', write([strings('uri', ['a'])]));
    const source = await openSource({ uri: 'memory://m/lists/l.parquet' }, stores);
    expect((await errorOf(collect(source))).code).toBe('STORE_UNAVAILABLE');
  });
});
