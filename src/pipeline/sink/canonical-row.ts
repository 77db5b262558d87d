import { describeIssues } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { resultRowSchema, type ResultRow } from '../../contract/rows.ts';
import { shortestFloat32 } from './float32-decimal.ts';

/** A result row that means the same in every format: strings are Unicode, scores are shortest float32 decimals. */
export type CanonicalRow = Omit<ResultRow, 'embedding'> & { readonly embedding?: Float32Array };

const LONE_SURROGATES = /\p{Surrogate}/gu;

/**
 * Checks a row and brings it into the one form that all formats can hold. Unpaired surrogates, which no UTF-8
 * file can hold, become U+FFFD.
 * @param where what the row is, for the message
 * @throws ImagemillError CONTRACT_INVALID
 */
export function canonicalRow(row: ResultRow, embeddings: boolean, where: string): CanonicalRow {
  const { ids, labels, scores } = row;
  if (labels.length !== ids.length || scores.length !== ids.length) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `${where}: expected as many labels and scores as ids, got ${ids.length} ids, ${labels.length} labels and ${scores.length} scores`,
    );
  }
  const canonical: CanonicalRow = {
    uri: wellFormed(row.uri),
    digest: wellFormed(row.digest),
    width: int32(row.width, 'width', where),
    height: int32(row.height, 'height', where),
    ids: ids.map((id) => int32(id, 'ids', where)),
    labels: labels.map(wellFormed),
    scores: scores.map((score) => shortestFloat32(finite(score, 'scores', where))),
    model: wellFormed(row.model),
  };
  return embeddings ? { ...canonical, embedding: float32Embedding(row, where) } : canonical;
}

/**
 * A value read from a part as a row; unknown fields are left out.
 * @throws ImagemillError CONTRACT_INVALID
 */
export function parseRow(value: unknown, where: string): CanonicalRow {
  const result = resultRowSchema.safeParse(value);
  if (!result.success) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `${where}: expected a result row, got ${describeIssues(result.error)}`,
    );
  }
  return canonicalRow(result.data, result.data.embedding !== undefined, where);
}

function float32Embedding(row: ResultRow, where: string): Float32Array {
  const embedding: unknown = row.embedding;
  const isList = embedding instanceof Float32Array || Array.isArray(embedding);
  if (!isList || embedding.length === 0) {
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `${where}: expected an embedding of one or more float32 numbers, got ${isList ? 'an empty one' : typeof embedding}`,
    );
  }
  const values = embedding instanceof Float32Array ? embedding : float32Values(embedding, where);
  for (let index = 0; index < values.length; index++) finite(values[index], 'embedding', where);
  return values;
}

/** `Float32Array.from` would turn null into 0, and takes several times as long. */
function float32Values(list: readonly unknown[], where: string): Float32Array {
  const values = new Float32Array(list.length);
  for (let index = 0; index < list.length; index++) values[index] = finite(list[index], 'embedding', where);
  return values;
}

/** Text that UTF-8 can hold: unpaired surrogates become U+FFFD. */
export function wellFormed(text: string): string {
  return text.replace(LONE_SURROGATES, '\ufffd');
}

function int32(value: number, field: string, where: string): number {
  // Of -0, which some formats cannot hold, 0 is left.
  if ((value | 0) === value) return value | 0;
  throw new ImagemillError(
    'CONTRACT_INVALID',
    `${where}: expected ${field} to be a 32-bit integer, got ${value}`,
  );
}

function finite(value: unknown, field: string, where: string): number {
  if (typeof value === 'number' && Number.isFinite(Math.fround(value))) return value;
  throw new ImagemillError(
    'CONTRACT_INVALID',
    `${where}: expected ${field} to be finite float32 numbers, got ${typeof value === 'number' ? value : `one of type ${typeof value}`}`,
  );
}
