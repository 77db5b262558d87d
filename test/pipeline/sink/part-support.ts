import * as fc from 'fast-check';
import type { PartFormat, ResultRow } from '../../../src/contract/rows.ts';
import { createPartEncoder } from '../../../src/pipeline/sink/create-part-encoder.ts';
import { readPart } from '../../../src/pipeline/sink/read-part.ts';

/** What breaks formats: quotes, separators, line ends of every kind, a byte order mark, code points beyond UTF-16 units. */
export const ODD_URIS = [
  's3://bucket/"quoted".jpg',
  's3://bucket/lone".jpg',
  's3://bucket/a,b;c\td.jpg',
  's3://bucket/line\nfeed.jpg',
  's3://bucket/carriage\rreturn.jpg',
  's3://bucket/both\r\n"ends",\r\n.jpg',
  '\ufeffs3://bucket/byte-order-mark.jpg',
  's3://bucket/emoji-\u{1f98a}-\u{10ffff}-\uffff.jpg',
  's3://bucket/separators-\u2028-\u2029-\u0085.jpg',
  "s3://bucket/'single'\\back\\slash.jpg",
  ' s3://bucket/spaces.jpg ',
  's3://bucket/%20=1+1.jpg',
  '[]',
  'null',
];

export function resultRow(index: number, changes: Partial<ResultRow> = {}): ResultRow {
  return {
    uri: `s3://bucket/photos/${index}.jpg`,
    digest: `sha256:${index.toString(16).padStart(64, '0')}`,
    width: 500 + (index % 7),
    height: 375,
    ids: [281, 282, index % 1000],
    labels: ['tabby', 'tiger cat', `class ${index % 1000}`],
    scores: [0.91, 0.05, 1 / (index + 3)].map(Math.fround),
    model: `sha256:${'ab'.repeat(32)}`,
    ...changes,
  };
}

export function resultRows(
  count: number,
  changes: (index: number) => Partial<ResultRow> = () => ({}),
): ResultRow[] {
  return Array.from({ length: count }, (_, index) => resultRow(index, changes(index)));
}

export function embeddingOf(index: number, length: number): Float32Array {
  return Float32Array.from({ length }, (_, k) =>
    (index * 31 + k * 17) % 101 < 60 ? 0 : Math.sin(index + k),
  );
}

export function encodePart(
  rows: readonly ResultRow[],
  format: PartFormat,
  embeddings = false,
  batchSizes: readonly number[] = [64],
): Buffer {
  const encoder = createPartEncoder({ format, embeddings });
  const chunks: Uint8Array[] = [];
  let start = 0;
  for (let call = 0; start < rows.length; call++) {
    const size = batchSizes[call % batchSizes.length] as number;
    chunks.push(encoder.rows(rows.slice(start, start + size)));
    start += size;
  }
  chunks.push(encoder.end());
  return Buffer.concat(chunks);
}

export async function collect<T>(batches: AsyncIterable<T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const batch of batches) all.push(...batch);
  return all;
}

export function decodePart(bytes: Uint8Array, format: PartFormat): Promise<ResultRow[]> {
  return collect(readPart(bytes, format));
}

/** Rows with float32 scores, as a reader may give them: each score is the double of its shortest decimal. */
export function asFloat32(rows: readonly ResultRow[]): ResultRow[] {
  return rows.map((row) => ({ ...row, scores: row.scores.map(Math.fround) }));
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(...ODD_URIS),
  fc
    .array(fc.constantFrom('"', ',', '\n', '\r', '\r\n', '\\', '\u{1f600}', 'a', ' '), { maxLength: 12 })
    .map((parts) => parts.join('')),
);
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const score = fc.oneof(
  fc.float({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
  fc.constantFrom(0, 1, Math.fround(0.91), 2 ** -149, 2 ** -126, Math.fround(1e-14)),
);

/** Any row that the contract allows. @param embeddingLength 0 for none */
export function anyRow(embeddingLength: number): fc.Arbitrary<ResultRow> {
  const top = fc.array(fc.tuple(int32, text, score), { maxLength: 6 }).map((entries) => ({
    ids: entries.map(([id]) => id),
    labels: entries.map(([, label]) => label),
    scores: entries.map(([, , value]) => Math.abs(value)),
  }));
  const base = fc
    .record({ uri: text, digest: text, width: int32, height: int32, top, model: text })
    .map(({ uri, digest, width, height, top: lists, model }) => ({
      uri,
      digest,
      width,
      height,
      ...lists,
      model,
    }));
  if (embeddingLength === 0) return base;
  const embedding = fc
    .array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
      minLength: embeddingLength,
      maxLength: embeddingLength,
    })
    .map((values) => Float32Array.from(values, (value) => value + 0));
  return fc
    .record({ row: base, embedding })
    .map(({ row, embedding: values }) => ({ ...row, embedding: values }));
}
