/** Values that were asked for lately and never change, or are about to be there; what failed is asked for again. */
export class Recent<V> {
  readonly #max: number;
  readonly #entries = new Map<string, Promise<V>>();

  /** @param max values kept */
  constructor(max: number) {
    this.#max = max;
  }

  async get(key: string, read: () => Promise<V>): Promise<V> {
    const earlier = this.#entries.get(key);
    const entry = earlier ?? read();
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > this.#max && oldest !== undefined) this.#entries.delete(oldest);
    try {
      return await entry;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }
}
