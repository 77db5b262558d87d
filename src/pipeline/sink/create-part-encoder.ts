import { ImagemillError } from '../../contract/errors.ts';
import type { PartFormat } from '../../contract/rows.ts';
import { canonicalRow } from './canonical-row.ts';
import { createCsvEncoder } from './csv-format.ts';
import type { FormatEncoder } from './format-encoder.ts';
import { createJsonlEncoder } from './jsonl-format.ts';
import { createParquetEncoder } from './parquet-encoder.ts';
import type { PartEncoder, PartEncoderOptions } from './part-encoder.ts';

const FORMAT_ENCODERS: Record<PartFormat, (embeddings: boolean) => FormatEncoder> = {
  parquet: createParquetEncoder,
  jsonl: createJsonlEncoder,
  csv: createCsvEncoder,
};

/** The end of a part's name, with the dot: `.parquet`, `.jsonl` or `.csv`. */
export function partExtension(format: PartFormat): `.${PartFormat}` {
  return `.${format}`;
}

/**
 * An encoder of one part. The bytes depend on the rows alone, not on how they are split into `rows()` calls, and
 * nothing of a row is kept by reference, so its arrays may be reused as soon as `rows()` returns.
 * What is not yet handed out is at most one row group (Parquet), or nothing (JSONL, CSV); a Parquet part also keeps some
 * 7 KB per row group for its footer, 7 MB for 1,000,000 rows. `end()` writes that footer at once and blocks meanwhile: 10 ms
 * for 1,000 rows, but 0.2 to 0.3 s for 1,000,000, or for 40,000 with embeddings of 4,096 values.
 * A call that throws has added none of its rows.
 * @throws ImagemillError CONTRACT_INVALID from `rows()` for a row that no format can hold,
 *   INTERNAL when used after `end()`
 */
export function createPartEncoder(options: PartEncoderOptions): PartEncoder {
  const encoder = FORMAT_ENCODERS[options.format](options.embeddings);
  let added = 0;
  let ended = false;

  function assertOpen(): void {
    if (ended) throw new ImagemillError('INTERNAL', 'part encoder: expected no call after end(), got one');
  }

  return {
    rows(rows) {
      assertOpen();
      const bytes = encoder.rows(
        rows.map((row, index) => canonicalRow(row, options.embeddings, `result row ${added + index}`)),
      );
      added += rows.length;
      return bytes;
    },
    end() {
      assertOpen();
      ended = true;
      return encoder.end();
    },
  };
}
