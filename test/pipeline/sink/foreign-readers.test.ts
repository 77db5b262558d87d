import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { titleNeeding } from '../../support/needs.ts';
import type { PartFormat, ResultRow } from '../../../src/contract/rows.ts';
import { partExtension } from '../../../src/pipeline/sink/create-part-encoder.ts';
import { embeddingOf, encodePart, ODD_URIS, resultRows } from './part-support.ts';

const EMBEDDING_LENGTH = 1000;
const rows = resultRows(300, (index) => ({
  uri: `${ODD_URIS[index % ODD_URIS.length]}#${index}`,
  ...(index % 5 === 0 ? { ids: [], labels: [], scores: [] } : {}),
  embedding: embeddingOf(index, EMBEDDING_LENGTH),
}));
const emptyLists = resultRows(10, () => ({ ids: [], labels: [], scores: [] }));

let folder: string;
let part: string;
let partWithoutRows: string;
let partOfEmptyLists: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill-parts-'));
  part = write('part', rows, 'parquet', true);
  partWithoutRows = write('none', [], 'parquet', true);
  partOfEmptyLists = write('empty-lists', emptyLists, 'parquet');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: ResultRow[], format: PartFormat, embeddings = false): string {
  const path = join(folder, name + partExtension(format));
  writeFileSync(path, encodePart(content, format, embeddings));
  return path;
}

describe('DuckDB', () => {
  let connection: DuckDBConnection;

  beforeAll(async () => {
    connection = await (await DuckDBInstance.create()).connect();
  });
  afterAll(() => connection.closeSync());

  async function query(sql: string): Promise<Record<string, unknown>[]> {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  }

  it('sees the documented column types', async () => {
    const columns = await query(`DESCRIBE SELECT * FROM '${part}'`);
    expect(columns.map((column) => [column['column_name'], column['column_type']])).toEqual([
      ['uri', 'VARCHAR'],
      ['digest', 'VARCHAR'],
      ['width', 'INTEGER'],
      ['height', 'INTEGER'],
      ['ids', 'INTEGER[]'],
      ['labels', 'VARCHAR[]'],
      ['scores', 'FLOAT[]'],
      ['model', 'VARCHAR'],
      ['embedding', 'FLOAT[]'],
    ]);
  });

  it('reads every value of a Parquet part', async () => {
    const read = await query(`SELECT * FROM '${part}'`);
    expect(read.map(fromDuckDb)).toEqual(rows.map(plainLists).map(boundText));
  });

  it('finds every uri through the statistics of the row groups', async () => {
    for (const row of rows.slice(0, 2 * ODD_URIS.length)) {
      const uri = row.uri.replaceAll("'", "''");
      const [found] = await query(`SELECT count(*)::INTEGER AS found FROM '${part}' WHERE uri = '${uri}'`);
      expect([row.uri, found?.['found']]).toEqual([row.uri, 1]);
    }
  });

  it('reads the file metadata, the codec and the size of the row groups', async () => {
    const entries = await query(
      `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata('${part}')`,
    );
    expect(entries).toEqual([
      { key: 'imagemill.schema', value: 'imagemill.results/1' },
      { key: 'imagemill.crc32', value: expect.stringMatching(/^\d+ [0-9a-f]{8}$/) as string },
    ]);
    const groups = await query(
      `SELECT DISTINCT row_group_id::INTEGER AS id, row_group_num_rows::INTEGER AS size, compression
       FROM parquet_metadata('${part}') ORDER BY id`,
    );
    expect(groups).toEqual([
      { id: 0, size: 250, compression: 'SNAPPY' },
      { id: 1, size: 50, compression: 'SNAPPY' },
    ]);
  });

  it('reads parts without rows and parts of empty lists', async () => {
    expect(await query(`SELECT * FROM '${partWithoutRows}'`)).toEqual([]);
    const read = await query(`SELECT ids, labels, scores FROM '${partOfEmptyLists}'`);
    expect(read).toEqual(emptyLists.map(({ ids, labels, scores }) => ({ ids, labels, scores })));
  });

  it('reads a JSONL part', async () => {
    const path = write('part', rows, 'jsonl', true);
    const read = await query(
      `SELECT * FROM read_json('${path}', format = 'newline_delimited', columns = {uri: 'VARCHAR', digest: 'VARCHAR',
       width: 'INTEGER', height: 'INTEGER', ids: 'INTEGER[]', labels: 'VARCHAR[]', scores: 'FLOAT[]', model: 'VARCHAR',
       embedding: 'FLOAT[]'})`,
    );
    expect(read.map(fromDuckDb)).toEqual(rows.map(plainLists).map(boundText));
  });

  it('reads a CSV part', async () => {
    const path = write('part', rows, 'csv', true);
    const read = await query(
      `SELECT uri, digest, width::INTEGER AS width, height::INTEGER AS height, ids::JSON::INTEGER[] AS ids,
       labels::JSON::VARCHAR[] AS labels, scores::JSON::FLOAT[] AS scores, model, embedding::JSON::FLOAT[] AS embedding
       FROM read_csv('${path}', header = true, delim = ',', quote = '"', escape = '"', all_varchar = true)`,
    );
    expect(read.map(fromDuckDb)).toEqual(rows.map(plainLists).map(boundText));
  });
});

function plainLists(row: ResultRow): ResultRow {
  return { ...row, embedding: Array.from(row.embedding ?? []) };
}

/** What the Node binding of DuckDB makes of a text: its decoder drops a leading byte order mark; DuckDB itself does not. */
function boundText(row: ResultRow): ResultRow {
  return { ...row, uri: row.uri.replace(/^\ufeff/, '') };
}

/** DuckDB widens FLOAT to double as it is, or by its decimals; either way the float32 is the same. */
function fromDuckDb(row: Record<string, unknown>): ResultRow {
  const { scores, embedding, ...rest } = row as unknown as ResultRow;
  return { ...rest, scores: scores.map(Math.fround), embedding: Array.from(embedding ?? [], Math.fround) };
}

const hasPyArrow = spawnSync('python3', ['-c', 'import pyarrow.parquet, pandas']).status === 0;

describe('Python', () => {
  it.skipIf(!hasPyArrow)(
    titleNeeding('pyarrow', hasPyArrow, 'is the reader PyArrow: types, values, metadata'),
    () => {
      const read = python(`
import json, sys, pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1])
table = file.read()
json.dump({
  'types': {field.name: str(field.type) for field in table.schema},
  'metadata': file.metadata.metadata[b'imagemill.schema'].decode(),
  'rows': table.to_pylist(),
  'empty': pq.read_table(sys.argv[2]).num_rows,
  'emptyLists': pq.read_table(sys.argv[3]).select(['ids', 'labels', 'scores']).to_pylist(),
}, sys.stdout)`);
      expect(read['types']).toEqual({
        uri: 'string',
        digest: 'string',
        width: 'int32',
        height: 'int32',
        ids: 'list<element: int32 not null>',
        labels: 'list<element: string not null>',
        scores: 'list<element: float not null>',
        model: 'string',
        embedding: 'list<element: float not null>',
      });
      expect(read['metadata']).toBe('imagemill.results/1');
      expect(read['rows']).toEqual(rows.map(plainLists));
      expect(read['empty']).toBe(0);
      expect(read['emptyLists']).toEqual(
        emptyLists.map(({ ids, labels, scores }) => ({ ids, labels, scores })),
      );
    },
  );

  it.skipIf(!hasPyArrow)(
    titleNeeding('pyarrow', hasPyArrow, 'is the reader pandas, of all three formats'),
    () => {
      const jsonl = write('pandas', rows, 'jsonl');
      const csv = write('pandas', rows, 'csv');
      const read = python(
        `
import json, sys, pandas as pd
parquet = pd.read_parquet(sys.argv[1])
jsonl = pd.read_json(sys.argv[4], lines=True)
csv = pd.read_csv(sys.argv[5], keep_default_na=False)
json.dump({
  'parquet': parquet['uri'].tolist(), 'jsonl': jsonl['uri'].tolist(), 'csv': csv['uri'].tolist(),
  'labels': [json.loads(text) for text in csv['labels']],
  'embedding': [str(parquet['embedding'][1].dtype), float(parquet['embedding'][1].sum())],
}, sys.stdout)`,
        [jsonl, csv],
      );
      const uris = rows.map((row) => row.uri);
      expect(read['parquet']).toEqual(uris);
      expect(read['jsonl']).toEqual(uris);
      expect(read['csv']).toEqual(uris);
      expect(read['labels']).toEqual(rows.map((row) => row.labels));
      const [dtype, sum] = read['embedding'] as [string, number];
      expect(dtype).toBe('float32');
      expect(sum).toBeCloseTo(
        embeddingOf(1, EMBEDDING_LENGTH).reduce((total, value) => total + value, 0),
        3,
      );
    },
  );

  function python(code: string, more: string[] = []): Record<string, unknown> {
    const files = [part, partWithoutRows, partOfEmptyLists, ...more];
    const output = execFileSync('python3', ['-c', code, ...files], { maxBuffer: 256 * 1024 * 1024 });
    return JSON.parse(output.toString()) as Record<string, unknown>;
  }
});
