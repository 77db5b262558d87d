import type { Commit } from '../../contract/ledger.ts';
import type { PartFormat, ResultRow } from '../../contract/rows.ts';
import { readPart } from '../../pipeline/sink/read-part.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';
import { BoundedCache } from '../bounded-cache.ts';

/** A row without its embedding, which no page shows. */
export type PageRow = Omit<ResultRow, 'embedding'>;

/** Some fifty parts of a thousand rows. */
const CACHE_BYTES = 64 * 2 ** 20;
/** Objects and strings of a row beside its characters, as V8 holds them. */
const ROW_OVERHEAD_BYTES = 400;
const BYTES_PER_CHARACTER = 2;

/**
 * Rows of committed parts, the recently read ones kept: whoever leafs through a run asks for the same part again and
 * again, and to decode it takes longer than everything else about a page.
 */
export class PartRows {
  readonly #cache: BoundedCache<readonly PageRow[]>;
  /** Parts that are being read, for everyone who asked for them. */
  readonly #reading = new Map<string, Promise<readonly PageRow[]>>();

  constructor(cacheBytes = CACHE_BYTES) {
    this.#cache = new BoundedCache(cacheBytes, rowsBytes);
  }

  /**
   * All rows of a shard's part, in order.
   * @throws ImagemillError STORE_*, OBJECT_NOT_FOUND, CONTRACT_INVALID
   */
  read(ledger: RunLedger, { part }: Commit, format: PartFormat): Promise<readonly PageRow[]> {
    // The digest: another run may come to be in the same place.
    const key = `${ledger.store.uriOf(part.key)} ${part.digest}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return Promise.resolve(cached);
    const reading = this.#reading.get(key) ?? this.#readAndKeep(key, ledger, part.key, format);
    this.#reading.set(key, reading);
    return reading;
  }

  #readAndKeep(
    key: string,
    { store }: RunLedger,
    partKey: string,
    format: PartFormat,
  ): Promise<readonly PageRow[]> {
    const read = async () => {
      const rows: PageRow[] = [];
      for await (const batch of readPart(await store.get(partKey), format))
        rows.push(...batch.map(({ embedding: _embedding, ...row }) => row));
      this.#cache.set(key, rows);
      return rows;
    };
    return read().finally(() => this.#reading.delete(key));
  }
}

function rowsBytes(rows: readonly PageRow[]): number {
  return rows.reduce(
    (sum, row) => sum + ROW_OVERHEAD_BYTES + JSON.stringify(row).length * BYTES_PER_CHARACTER,
    0,
  );
}
