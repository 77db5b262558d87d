import { ImagemillError } from '../../contract/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** Bytes fetched where reading starts anew, after a jump. */
const FIRST_BLOCK_BYTES = 64 * 1024;
/** Bytes fetched at most while reading goes on from where it was: requests then cost less than the bytes. */
const LAST_BLOCK_BYTES = 4 * 1024 * 1024;

/**
 * Reads pieces of one object by range requests, with one block in memory. Blocks grow while pieces follow each other
 * closely, as small members of a tar do, and start small again after a jump over a large one.
 */
export class RangeReader {
  readonly uri: string;
  /** Size of the object. */
  readonly bytes: number;
  readonly #store: ObjectStore;
  readonly #key: string;
  readonly #signal: AbortSignal | undefined;
  #block: Uint8Array = new Uint8Array(0);
  #blockOffset = 0;
  #blockBytes = 0;

  constructor(store: ObjectStore, key: string, bytes: number, signal?: AbortSignal) {
    this.uri = store.uriOf(key);
    this.bytes = bytes;
    this.#store = store;
    this.#key = key;
    this.#signal = signal;
  }

  /**
   * A view that is valid until the next read.
   * @throws ImagemillError TAR_INVALID where the object ends before `offset + length`, and the store's errors
   */
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset + length > this.bytes) {
      throw new ImagemillError(
        'TAR_INVALID',
        `${this.uri} at byte ${offset}: expected ${length} more bytes, got the end of the object at ${this.bytes} (truncated)`,
      );
    }
    const blockEnd = this.#blockOffset + this.#block.length;
    if (offset < this.#blockOffset || offset + length > blockEnd) {
      await this.#fetch(offset, length, blockEnd);
    }
    const start = offset - this.#blockOffset;
    return this.#block.subarray(start, start + length);
  }

  async #fetch(offset: number, length: number, blockEnd: number): Promise<void> {
    const goesOn = this.#block.length > 0 && Math.abs(offset - blockEnd) <= FIRST_BLOCK_BYTES;
    this.#blockBytes = goesOn ? Math.min(this.#blockBytes * 2, LAST_BLOCK_BYTES) : FIRST_BLOCK_BYTES;
    const wanted = Math.min(Math.max(length, this.#blockBytes), this.bytes - offset);
    const range = { offset, length: wanted };
    const signal = this.#signal;
    const block = await this.#store.get(this.#key, signal === undefined ? { range } : { range, signal });
    if (block.length < length) {
      throw new ImagemillError(
        'TAR_INVALID',
        `${this.uri} at byte ${offset}: expected ${wanted} bytes, got ${block.length} (the object has changed)`,
      );
    }
    this.#block = block;
    this.#blockOffset = offset;
  }
}
