import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { ImagemillError } from '../../contract/errors.ts';
import { parseRow, type CanonicalRow } from './canonical-row.ts';
import type { FormatEncoder } from './format-encoder.ts';
import { embeddingJson } from './jsonl-format.ts';
import { batched } from './read-batches.ts';

/** RFC 4180: records end in CRLF, the last one too. */
const RECORD_END = '\r\n';
const NEEDS_QUOTES = /[",\r\n]/;
const READ_CHUNK_BYTES = 64 * 1024;

const TEXT_COLUMNS = ['uri', 'digest', 'model'] as const;
const INTEGER_COLUMNS = ['width', 'height'] as const;
const LIST_COLUMNS = ['ids', 'labels', 'scores'] as const;
const COLUMNS = ['uri', 'digest', 'width', 'height', 'ids', 'labels', 'scores', 'model'] as const;
const EMBEDDING_COLUMN = 'embedding';

/** RFC 4180 with a header; lists are JSON arrays in a quoted field. */
export function createCsvEncoder(embeddings: boolean): FormatEncoder {
  const encoder = new TextEncoder();
  const header = [...COLUMNS, ...(embeddings ? [EMBEDDING_COLUMN] : [])].join(',') + RECORD_END;
  let pendingHeader = header;

  function encode(records: string): Uint8Array {
    const bytes = encoder.encode(pendingHeader + records);
    pendingHeader = '';
    return bytes;
  }

  return {
    rows: (rows) => encode(rows.map(csvRecord).join('')),
    end: () => encode(''),
  };
}

function csvRecord(row: CanonicalRow): string {
  const fields = [
    csvField(row.uri),
    csvField(row.digest),
    String(row.width),
    String(row.height),
    quoted(JSON.stringify(row.ids)),
    quoted(JSON.stringify(row.labels)),
    quoted(JSON.stringify(row.scores)),
    csvField(row.model),
  ];
  if (row.embedding !== undefined) fields.push(quoted(embeddingJson(row.embedding)));
  return fields.join(',') + RECORD_END;
}

function csvField(text: string): string {
  return NEEDS_QUOTES.test(text) ? quoted(text) : text;
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/** Reads a CSV part. @throws ImagemillError CONTRACT_INVALID */
export function readCsvPart(bytes: Uint8Array, where: string): AsyncIterable<CanonicalRow[]> {
  return batched(parseRecords(bytes, where));
}

async function* parseRecords(
  bytes: Uint8Array,
  where: string,
): AsyncGenerator<{ value: CanonicalRow; bytes: number }> {
  const tail = new TextDecoder().decode(bytes.subarray(-RECORD_END.length));
  if (tail !== RECORD_END) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `${where}: expected a CSV file that ends in CRLF, got ${JSON.stringify(tail)} at its end`,
    );
  }
  // The parser would hide damaged text.
  if (!isUtf8(bytes)) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `${where}: expected a CSV file of UTF-8 text, got other bytes`,
    );
  }
  let header: string[] | undefined;
  let record = 0;
  for await (const fields of csvRecords(bytes, where)) {
    if (header === undefined) {
      header = checkedHeader(fields, where);
      continue;
    }
    record += 1;
    const value = parseRow(
      recordFields(header, fields, `${where}, record ${record}`),
      `${where}, record ${record}`,
    );
    yield { value, bytes: fields.reduce((sum, field) => sum + field.length, 0) };
  }
}

async function* csvRecords(bytes: Uint8Array, where: string): AsyncGenerator<string[]> {
  const parser = Readable.from(byteChunks(bytes), { objectMode: false }).pipe(
    parse({ record_delimiter: RECORD_END }),
  );
  try {
    for await (const fields of parser as AsyncIterable<string[]>) yield fields;
  } catch (error) {
    if (error instanceof ImagemillError) throw error;
    throw new ImagemillError('CONTRACT_INVALID', `${where}: expected CSV, got ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function* byteChunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += READ_CHUNK_BYTES) {
    yield bytes.subarray(start, start + READ_CHUNK_BYTES);
  }
}

function checkedHeader(header: string[], where: string): string[] {
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length === 0) return header;
  throw new ImagemillError(
    'CONTRACT_INVALID',
    `${where}: expected a CSV header with ${COLUMNS.join(',')}, got one without ${missing.join(',')}`,
  );
}

function recordFields(header: readonly string[], fields: readonly string[], where: string): unknown {
  const byName = new Map(header.map((name, index) => [name, fields[index] ?? '']));
  const text = (name: string): string => byName.get(name) ?? '';
  const lists = byName.has(EMBEDDING_COLUMN) ? [...LIST_COLUMNS, EMBEDDING_COLUMN] : LIST_COLUMNS;
  return Object.fromEntries([
    ...TEXT_COLUMNS.map((name) => [name, text(name)]),
    ...INTEGER_COLUMNS.map((name) => [name, integer(text(name))]),
    ...lists.map((name) => [name, jsonField(text(name), `${where}, ${name}`)]),
  ]);
}

/** NaN for anything but decimal digits, which the row's schema then refuses. */
function integer(text: string): number {
  return /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
}

function jsonField(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `${where}: expected a JSON array, got ${(error as Error).message}`,
      { cause: error },
    );
  }
}
