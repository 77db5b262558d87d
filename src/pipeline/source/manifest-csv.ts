import { Readable, pipeline } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { z } from 'zod';
import { decodeUtf8, inPieces } from './byte-lines.ts';
import { PAGE_ITEMS, parsePosition } from './listing.ts';
import { MAX_LINE_BYTES, manifestError, type ManifestFile, type ManifestRow } from './manifest-row.ts';
import { openManifestStream, PIECE_BYTES } from './manifest-stream.ts';

/** Where the columns are; found in the header, kept in the position so that resuming need not read it again. */
interface Columns {
  readonly count: number;
  readonly uri: number;
  /** -1 where there are no labels. */
  readonly label: number;
}

/** Offset of the next record, lines before it, and the columns. */
const positionSchema = z.tuple([
  z.number().int().nonnegative(),
  z.number().int().nonnegative(),
  z.number().int().positive(),
  z.number().int().nonnegative(),
  z.number().int().min(-1),
]);

interface CsvRecord {
  readonly record: readonly Buffer[];
  readonly info: { readonly bytes: number; readonly lines: number };
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

const FAULTS: Record<string, string> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote is never closed',
  CSV_INVALID_CLOSING_QUOTE: 'expected a comma or the end of the line after a closing quote',
  INVALID_OPENING_QUOTE: 'expected the whole field in quotes, got a quote in the middle of it',
  CSV_MAX_RECORD_SIZE: `expected a line of at most ${MAX_LINE_BYTES} bytes`,
};

/** Reads a CSV manifest (RFC 4180, UTF-8) with a header that names `uri` and, if known, `label`. */
export async function* readCsvManifest(
  file: ManifestFile,
  position: readonly number[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ManifestRow[]> {
  const start = position === undefined ? undefined : parsePosition(positionSchema, position);
  const [offset, linesBefore] = start ?? [await markBytes(file, signal), 0];
  let columns: Columns | undefined =
    start === undefined ? undefined : { count: start[2], uri: start[3], label: start[4] };
  let page: ManifestRow[] = [];

  for await (const { record, info } of readRecords(file, offset, linesBefore, signal)) {
    const line = linesBefore + info.lines;
    const place = `line ${line}`;
    const fields = decodeFields(file, place, record);
    if (columns === undefined) {
      columns = findColumns(file, place, fields);
      continue;
    }
    if (fields.length !== columns.count) {
      throw manifestError(
        file,
        place,
        `expected ${columns.count} fields as in the header, got ${fields.length}`,
      );
    }
    page.push({
      uri: fields[columns.uri],
      label: fields[columns.label],
      place,
      position: [offset + info.bytes, line, columns.count, columns.uri, columns.label],
    });
    if (page.length === PAGE_ITEMS) {
      yield page;
      page = [];
    }
  }
  if (columns === undefined) {
    throw manifestError(file, 'line 1', 'expected a header with a column "uri", got an empty file');
  }
  if (page.length > 0) yield page;
}

/** Length of the byte order mark. The parser would strip it too, but then give up {@link readRecords}' `encoding`. */
async function markBytes(file: ManifestFile, signal: AbortSignal | undefined): Promise<number> {
  if (file.bytes < BYTE_ORDER_MARK.length) return 0;
  const range = { offset: 0, length: BYTE_ORDER_MARK.length };
  const first = await file.store.get(file.key, signal === undefined ? { range } : { range, signal });
  return BYTE_ORDER_MARK.equals(first) ? BYTE_ORDER_MARK.length : 0;
}

async function* readRecords(
  file: ManifestFile,
  offset: number,
  linesBefore: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<CsvRecord> {
  const parser = parse({
    // Fields stay bytes, so that text in another encoding is noticed instead of mangled.
    encoding: null,
    info: true,
    max_record_size: MAX_LINE_BYTES,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
  });
  const pieces = inPieces(openManifestStream(file, offset, signal), PIECE_BYTES);
  // The parser is destroyed with the error of either side, and the loop below throws it.
  pipeline(Readable.from(pieces), parser, () => undefined);
  try {
    yield* parser as AsyncIterable<CsvRecord>;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = linesBefore + Number(error['lines']);
    throw manifestError(file, `line ${line}`, FAULTS[error.code] ?? error.message, { cause: error });
  }
}

function decodeFields(file: ManifestFile, place: string, record: readonly Buffer[]): string[] {
  return record.map((bytes) => {
    const field = decodeUtf8(bytes);
    if (field === null) throw manifestError(file, place, 'expected UTF-8 text');
    return field;
  });
}

function findColumns(file: ManifestFile, place: string, header: readonly string[]): Columns {
  const names = header.map((name) => name.trim());
  const uri = names.indexOf('uri');
  if (uri < 0) {
    throw manifestError(
      file,
      place,
      `expected a header with a column "uri", got: ${names.join(', ').slice(0, 200)}`,
    );
  }
  for (const name of ['uri', 'label']) {
    if (names.indexOf(name) !== names.lastIndexOf(name)) {
      throw manifestError(file, place, `expected one column "${name}", got several`);
    }
  }
  return { count: names.length, uri, label: names.indexOf('label') };
}
