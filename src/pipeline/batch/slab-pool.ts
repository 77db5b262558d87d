import { Semaphore } from './semaphore.ts';

/** A fixed number of equally large buffers for batches of pixels; memory is allocated once and bounded. */
export class SlabPool {
  readonly #bytes: number;
  readonly #places: Semaphore;
  readonly #idle: ArrayBuffer[] = [];

  /** @param bytes size of a slab; @param count slabs in use at most */
  constructor(bytes: number, count: number) {
    this.#bytes = bytes;
    this.#places = new Semaphore(count);
  }

  /** Waits until a slab is free. Its content is whatever the last user left. */
  async acquire(): Promise<ArrayBuffer> {
    await this.#places.acquire();
    return this.#idle.pop() ?? new ArrayBuffer(this.#bytes);
  }

  /** Gives a slab back; one that was lost with a dead thread (detached, so empty) is replaced by a new one. */
  release(slab: ArrayBuffer): void {
    if (slab.byteLength === this.#bytes) this.#idle.push(slab);
    this.#places.release();
  }
}
