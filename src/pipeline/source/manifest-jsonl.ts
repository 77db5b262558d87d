import { z } from 'zod';
import { decodeUtf8, inPieces, readLines, type Line } from './byte-lines.ts';
import { PAGE_ITEMS, parsePosition } from './listing.ts';
import { MAX_LINE_BYTES, manifestError, type ManifestFile, type ManifestRow } from './manifest-row.ts';
import { openManifestStream, PIECE_BYTES } from './manifest-stream.ts';

/** Offset of the next line, and its number. */
const positionSchema = z.tuple([z.number().int().nonnegative(), z.number().int().positive()]);

/** Reads a manifest of JSON lines: a string, or an object with `uri` and, if known, `label`. Blank lines are passed over. */
export async function* readJsonlManifest(
  file: ManifestFile,
  position: readonly number[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ManifestRow[]> {
  const [offset, line] = position === undefined ? [0, 1] : parsePosition(positionSchema, position);
  const chunks = inPieces(openManifestStream(file, offset, signal), PIECE_BYTES);
  const tooLong = (number: number) =>
    manifestError(file, `line ${number}`, `expected a line of at most ${MAX_LINE_BYTES} bytes`);

  for await (const lines of readLines(chunks, { offset, line }, MAX_LINE_BYTES, tooLong)) {
    const rows = lines.map((each) => parseLine(file, each)).filter((row) => row !== null);
    for (let start = 0; start < rows.length; start += PAGE_ITEMS) yield rows.slice(start, start + PAGE_ITEMS);
  }
}

function parseLine(file: ManifestFile, line: Line): ManifestRow | null {
  const place = `line ${line.number}`;
  const text = decodeUtf8(line.bytes);
  if (text === null) throw manifestError(file, place, 'expected UTF-8 text');
  if (text.trim() === '') return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw manifestError(file, place, `expected JSON (${(error as Error).message})`);
  }
  const position = [line.end, line.number + 1];
  if (typeof value === 'string') return { uri: value, label: undefined, place, position };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw manifestError(
      file,
      place,
      `expected a string or an object with "uri", got ${text.trim().slice(0, 100)}`,
    );
  }
  return {
    uri: 'uri' in value ? value.uri : undefined,
    label: 'label' in value ? value.label : undefined,
    place,
    position,
  };
}
