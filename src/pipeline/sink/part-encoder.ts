import type { PartFormat, ResultRow } from '../../contract/rows.ts';

/** Serialises result rows as they come; the concatenation of what it returns is one part. */
export interface PartEncoder {
  /** Adds rows (a batch). @returns bytes that are ready to be uploaded, possibly none */
  rows(rows: readonly ResultRow[]): Uint8Array;
  /** Ends the part. @returns its last bytes */
  end(): Uint8Array;
}

export interface PartEncoderOptions {
  readonly format: PartFormat;
  /** Whether rows carry `embedding`. */
  readonly embeddings: boolean;
}
