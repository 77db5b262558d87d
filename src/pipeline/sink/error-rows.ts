import { describeIssues } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { errorRowSchema, type ErrorRow } from '../../contract/rows.ts';
import { wellFormed } from './canonical-row.ts';
import { encodeLines, readJsonLines } from './jsonl-format.ts';

/** Serialises error rows as they come, one JSON object per line; all bytes are handed out at once. */
export interface ErrorEncoder {
  rows(rows: readonly ErrorRow[]): Uint8Array;
  /** @returns its last bytes, for symmetry with `PartEncoder`: none */
  end(): Uint8Array;
}

/** Error rows as JSON lines, each with its line feed: what `errors/<shard>.<token>.jsonl` is a concatenation of. */
export function encodeErrorRows(rows: readonly ErrorRow[]): Uint8Array {
  return encodeLines(
    rows.map(({ uri, code, message }) =>
      JSON.stringify({ uri: wellFormed(uri), code, message: wellFormed(message) }),
    ),
  );
}

/** An encoder of `errors/<shard>.<token>.jsonl`. The bytes depend on the rows alone. */
export function createErrorEncoder(): ErrorEncoder {
  return {
    rows: encodeErrorRows,
    end: () => new Uint8Array(0),
  };
}

/**
 * Reads an `errors/*.jsonl` back, in batches.
 * @param where what the bytes are, for the message
 * @throws ImagemillError CONTRACT_INVALID
 */
export function readErrors(bytes: Uint8Array, where = 'error rows'): AsyncIterable<ErrorRow[]> {
  return readJsonLines(bytes, where, parseErrorRow);
}

function parseErrorRow(value: unknown, where: string): ErrorRow {
  const result = errorRowSchema.safeParse(value);
  if (result.success) return result.data;
  throw new ImagemillError(
    'CONTRACT_INVALID',
    `${where}: expected an error row, got ${describeIssues(result.error)}`,
  );
}
