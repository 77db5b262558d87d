/** A line without its end (`\n` or `\r\n`). */
export interface Line {
  readonly bytes: Uint8Array;
  /** Counts from 1. */
  readonly number: number;
  /** Offset of the byte after the line's end. */
  readonly end: number;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** Cuts chunks into pieces of at most `bytes`, so that whoever parses them does not hold the thread for long. */
export async function* inPieces(
  chunks: AsyncIterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += bytes) yield chunk.subarray(start, start + bytes);
  }
}

/**
 * Splits a stream into lines; pages of lines, one page per chunk that ends at least one line.
 * @param start offset and line number of the first byte
 * @param maxBytes longest line, its end included
 * @param tooLong makes the error for a longer one, from its number
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  start: { readonly offset: number; readonly line: number },
  maxBytes: number,
  tooLong: (line: number) => Error,
): AsyncGenerator<Line[]> {
  let { offset, line } = start;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;

  function take(last: Uint8Array): Line {
    const length = pendingBytes + last.length;
    if (length > maxBytes) throw tooLong(line);
    const whole = pending.length === 0 ? last : Buffer.concat([...pending, last], length);
    pending = [];
    pendingBytes = 0;
    offset += length;
    return { bytes: withoutEnd(whole), number: line++, end: offset };
  }

  for await (const chunk of chunks) {
    const lines: Line[] = [];
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      lines.push(take(chunk.subarray(from, end + 1)));
      from = end + 1;
    }
    if (from < chunk.length) {
      pending.push(chunk.subarray(from));
      pendingBytes += chunk.length - from;
      if (pendingBytes > maxBytes) throw tooLong(line);
    }
    if (lines.length > 0) yield lines;
  }
  if (pendingBytes > 0) yield [take(new Uint8Array(0))];
}

function withoutEnd(line: Uint8Array): Uint8Array {
  let length = line.length;
  if (line[length - 1] === NEWLINE) {
    length -= 1;
    if (line[length - 1] === RETURN) length -= 1;
  }
  return line.subarray(0, length);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Text without its byte order mark; null where the bytes are not UTF-8, so that no store is asked for a mangled name. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
