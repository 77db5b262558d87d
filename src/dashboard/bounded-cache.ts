/** What an entry takes beside its key and value, roughly. */
const ENTRY_OVERHEAD_BYTES = 256;
const BYTES_PER_CHARACTER = 2;

/** Values in memory, the least recently used of which make room for new ones. */
export class BoundedCache<V extends object> {
  readonly #maxBytes: number;
  readonly #bytesOf: (value: V) => number;
  readonly #entries = new Map<string, { readonly value: V; readonly bytes: number }>();
  #bytes = 0;

  /** @param bytesOf what a value takes in memory, roughly; asked once, as it is put in */
  constructor(maxBytes: number, bytesOf: (value: V) => number) {
    this.#maxBytes = maxBytes;
    this.#bytesOf = bytesOf;
  }

  /** What is held, never more than the limit. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    // A map keeps the order of insertion: the first one is the one that was not used for longest.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** One that is larger than the whole cache is not kept. */
  set(key: string, value: V): void {
    this.#remove(key);
    const bytes = this.#bytesOf(value) + key.length * BYTES_PER_CHARACTER + ENTRY_OVERHEAD_BYTES;
    if (bytes > this.#maxBytes) return;
    this.#entries.set(key, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#remove(oldest);
    }
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
