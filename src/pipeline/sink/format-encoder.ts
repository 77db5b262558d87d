import type { CanonicalRow } from './canonical-row.ts';

/** The part of a `PartEncoder` that differs from format to format: its rows are checked already. */
export interface FormatEncoder {
  rows(rows: readonly CanonicalRow[]): Uint8Array;
  end(): Uint8Array;
}
