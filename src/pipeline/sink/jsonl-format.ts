import { ImagemillError } from '../../contract/errors.ts';
import { parseRow, type CanonicalRow } from './canonical-row.ts';
import { shortestFloat32 } from './float32-decimal.ts';
import type { FormatEncoder } from './format-encoder.ts';
import { batched } from './read-batches.ts';

const LINE_FEED = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One result row per line; JSON escapes what could break a line. */
export function createJsonlEncoder(): FormatEncoder {
  return {
    rows: (rows) => encodeLines(rows.map(canonicalJson)),
    end: () => new Uint8Array(0),
  };
}

/** UTF-8 of the lines, each with a line feed at its end. */
export function encodeLines(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
}

/** An embedding as a JSON array. */
export function embeddingJson(embedding: Float32Array): string {
  return JSON.stringify(Array.from(embedding, shortestFloat32));
}

/** Reads a JSONL part. @throws ImagemillError CONTRACT_INVALID */
export function readJsonlPart(bytes: Uint8Array, where: string): AsyncIterable<CanonicalRow[]> {
  return readJsonLines(bytes, where, parseRow);
}

/**
 * Batches of the values of a JSONL file, in order.
 * @param parse checks one value; `where` names its line
 * @throws ImagemillError CONTRACT_INVALID for a line that is not JSON, and for a last line without its line feed
 */
export function readJsonLines<T>(
  bytes: Uint8Array,
  where: string,
  parse: (value: unknown, where: string) => T,
): AsyncIterable<T[]> {
  return batched(parseLines(bytes, where, parse));
}

function* parseLines<T>(
  bytes: Uint8Array,
  where: string,
  parse: (value: unknown, where: string) => T,
): Iterable<{ value: T; bytes: number }> {
  let start = 0;
  for (let line = 1; start < bytes.length; line++) {
    const end = bytes.indexOf(LINE_FEED, start);
    const at = `${where}, line ${line}`;
    if (end === -1) {
      throw new ImagemillError(
        'CONTRACT_INVALID',
        `${at}: expected a line feed at its end, got the end of the file`,
      );
    }
    yield { value: parse(parseJson(bytes.subarray(start, end), at), at), bytes: end - start };
    start = end + 1;
  }
}

function parseJson(line: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(utf8.decode(line));
  } catch (error) {
    throw new ImagemillError('CONTRACT_INVALID', `${where}: expected JSON, got ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function canonicalJson(row: CanonicalRow): string {
  const { uri, digest, width, height, ids, labels, scores, model, embedding } = row;
  const json = JSON.stringify({ uri, digest, width, height, ids, labels, scores, model });
  return embedding === undefined ? json : `${json.slice(0, -1)},"embedding":${embeddingJson(embedding)}}`;
}
