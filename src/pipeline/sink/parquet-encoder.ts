import { crc32 } from 'node:zlib';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { ImagemillError } from '../../contract/errors.ts';
import type { CanonicalRow } from './canonical-row.ts';
import { createEmbeddingChunk, type EmbeddingChunk } from './embedding-chunk.ts';
import type { FormatEncoder } from './format-encoder.ts';
import { CHECKSUM_KEY, formatChecksum, partSchema, RESULTS_SCHEMA, SCHEMA_KEY } from './parquet-schema.ts';

/**
 * Rows of the first row groups; the last entry goes on for the others. A full group is encoded in one go, and in a
 * new process that takes several times longer than once the code is compiled: hence the small start.
 */
const ROW_GROUP_ROWS: readonly [number, ...number[]] = [250, 500, 1000];
/** Values of embeddings per row group: 1 MiB, or 64 rows of 4,096, which a reader in JavaScript decodes in one go. */
const ROW_GROUP_EMBEDDING_VALUES = 256 * 1024;

/** In the form `application version …` that readers parse; without a release, so that bytes depend on rows alone. */
const CREATED_BY = 'imagemill version 1';

/** Hands out what was written so far, while offsets and the checksum go on from the start of the file. */
class PartWriter extends ByteWriter {
  #crc = 0;

  take(): Uint8Array {
    const bytes = new Uint8Array(this.getBuffer());
    this.index = 0;
    // Of no bytes, zlib gives the checksum 0 instead of the one so far.
    if (bytes.length > 0) this.#crc = crc32(bytes, this.#crc);
    return bytes;
  }

  /** Of everything handed out. */
  checksum(): string {
    return formatChecksum(this.offset - this.index, this.#crc);
  }
}

/** Columns of the row group that is being filled. Text that hardly repeats is UTF-8 already, to spread the work. */
interface RowGroupColumns {
  uri: Uint8Array[];
  digest: Uint8Array[];
  width: number[];
  height: number[];
  ids: number[][];
  labels: string[][];
  scores: number[][];
  model: string[];
}

/** Parquet with Snappy; a row group is written as soon as it is full. */
export function createParquetEncoder(embeddings: boolean): FormatEncoder {
  return new ParquetEncoder(embeddings);
}

class ParquetEncoder implements FormatEncoder {
  readonly #writer = new PartWriter();
  readonly #metadata = [{ key: SCHEMA_KEY, value: RESULTS_SCHEMA }];
  readonly #parquet: ParquetWriter;
  readonly #text = new TextEncoder();
  #embedding: { readonly length: number; readonly chunk: EmbeddingChunk } | undefined;
  #group = emptyGroup();
  #groupRows = ROW_GROUP_ROWS[0];

  constructor(embeddings: boolean) {
    this.#parquet = new ParquetWriter({
      writer: this.#writer,
      schema: partSchema(embeddings),
      createdBy: CREATED_BY,
      kvMetadata: this.#metadata,
    });
  }

  rows(rows: readonly CanonicalRow[]): Uint8Array {
    this.#checkEmbeddingLengths(rows);
    for (const row of rows) this.#add(row);
    return this.#writer.take();
  }

  end(): Uint8Array {
    this.#writeGroup();
    const lastGroup = this.#writer.take();
    // The library reads its metadata only now, when everything that the checksum covers is known.
    this.#metadata.push({ key: CHECKSUM_KEY, value: this.#writer.checksum() });
    void this.#parquet.finish();
    return Buffer.concat([lastGroup, this.#writer.take()]);
  }

  #checkEmbeddingLengths(rows: readonly CanonicalRow[]): void {
    const length = this.#embedding?.length ?? rows[0]?.embedding?.length;
    const other = rows.find((row) => row.embedding?.length !== length)?.embedding?.length;
    if (length === undefined || other === undefined) return;
    throw new ImagemillError(
      'CONTRACT_INVALID',
      `parquet part: expected embeddings of ${length} values like the first, got one of ${other}`,
    );
  }

  #add(row: CanonicalRow): void {
    if (row.embedding !== undefined) this.#addEmbedding(row.embedding);
    const group = this.#group;
    group.uri.push(this.#text.encode(row.uri));
    group.digest.push(this.#text.encode(row.digest));
    group.width.push(row.width);
    group.height.push(row.height);
    group.ids.push(row.ids);
    group.labels.push(row.labels);
    group.scores.push(row.scores.map(Math.fround));
    group.model.push(row.model);
    if (group.uri.length === this.#groupRows) this.#writeGroup();
  }

  #addEmbedding(values: Float32Array): void {
    if (this.#embedding === undefined) {
      this.#embedding = { length: values.length, chunk: createEmbeddingChunk(values.length) };
      this.#groupRows = this.#rowsOfNextGroup();
    }
    this.#embedding.chunk.add(values);
  }

  #writeGroup(): void {
    if (this.#group.uri.length === 0) return;
    writeRowGroup(this.#parquet, this.#group);
    if (this.#embedding !== undefined) appendChunk(this.#parquet, this.#embedding.chunk, this.#writer);
    this.#group = emptyGroup();
    this.#groupRows = this.#rowsOfNextGroup();
  }

  #rowsOfNextGroup(): number {
    const written = this.#parquet.row_groups.length;
    const rows = ROW_GROUP_ROWS[Math.min(written, ROW_GROUP_ROWS.length - 1)] as number;
    if (this.#embedding === undefined) return rows;
    return Math.min(rows, Math.max(1, Math.floor(ROW_GROUP_EMBEDDING_VALUES / this.#embedding.length)));
  }
}

function emptyGroup(): RowGroupColumns {
  return { uri: [], digest: [], width: [], height: [], ids: [], labels: [], scores: [], model: [] };
}

/** Synchronous, since our writer has no `flush`. Statistics only where a query could skip a row group by them. */
function writeRowGroup(parquet: ParquetWriter, group: RowGroupColumns): void {
  void parquet.write({
    rowGroupSize: group.uri.length,
    columnData: [
      { name: 'uri', data: group.uri, encoding: 'PLAIN' },
      { name: 'digest', data: group.digest, encoding: 'PLAIN', statistics: false },
      { name: 'width', data: group.width },
      { name: 'height', data: group.height },
      { name: 'ids', data: group.ids, statistics: false },
      { name: 'labels', data: group.labels, statistics: false },
      { name: 'scores', data: group.scores, encoding: 'PLAIN', statistics: false },
      { name: 'model', data: group.model },
    ],
  });
}

/** Adds a column chunk of our own to the row group that the library wrote last. */
function appendChunk(parquet: ParquetWriter, chunk: EmbeddingChunk, writer: ByteWriter): void {
  const rowGroup = parquet.row_groups.at(-1);
  if (rowGroup === undefined)
    throw new ImagemillError('INTERNAL', 'parquet part: expected a row group, got none');
  const column = chunk.write(writer);
  rowGroup.columns.push(column);
  rowGroup.total_byte_size += column.meta_data?.total_uncompressed_size ?? 0n;
  rowGroup.total_compressed_size =
    (rowGroup.total_compressed_size ?? 0n) + (column.meta_data?.total_compressed_size ?? 0n);
}
