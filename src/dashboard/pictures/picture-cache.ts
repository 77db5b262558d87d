import type { Picture } from './protocol.ts';

/** What an entry takes beside its pixels and texts, roughly. */
const ENTRY_OVERHEAD_BYTES = 256;
const BYTES_PER_CHARACTER = 2;

/** Pictures in memory, the least recently used of which make room for new ones. */
export class PictureCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, Picture>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What is held, never more than the limit. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Picture | undefined {
    const picture = this.#entries.get(key);
    if (picture === undefined) return undefined;
    // A map keeps the order of insertion: the first one is the one that was not used for longest.
    this.#entries.delete(key);
    this.#entries.set(key, picture);
    return picture;
  }

  /** One that is larger than the whole cache is not kept. */
  set(key: string, picture: Picture): void {
    this.#remove(key);
    const bytes = entryBytes(key, picture);
    if (bytes > this.#maxBytes) return;
    this.#entries.set(key, picture);
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#remove(oldest);
    }
  }

  #remove(key: string): void {
    const picture = this.#entries.get(key);
    if (picture === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entryBytes(key, picture);
  }
}

function entryBytes(key: string, { bytes, labels = [] }: Picture): number {
  const characters = labels.reduce((sum, label) => sum + label.length, key.length);
  return bytes.byteLength + characters * BYTES_PER_CHARACTER + ENTRY_OVERHEAD_BYTES;
}
