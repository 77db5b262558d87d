const SLOT_MS = 1_000;
const SLOTS = 10;
const MS_PER_SECOND = 1_000;

/** Images a second over the last ten, in as many counters, however many images come. */
export class RateMeter {
  readonly #counts = new Float64Array(SLOTS);
  /** Never goes back. */
  readonly #nowMs: () => number;
  readonly #startedAtMs: number;
  /** Number of the newest slot, counted from time zero. */
  #slot: number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#startedAtMs = nowMs();
    this.#slot = Math.floor(nowMs() / SLOT_MS);
  }

  add(images: number): void {
    const at = this.#advance() % SLOTS;
    this.#counts[at] = (this.#counts[at] ?? 0) + images;
  }

  /** Images per second; of a meter that is younger than its window, over its life so far. */
  perSecond(): number {
    this.#advance();
    const nowMs = this.#nowMs();
    // The newest slot is not over yet, and the one that it replaced counts no more.
    const windowMs = (SLOTS - 1) * SLOT_MS + (nowMs % SLOT_MS);
    const seconds = Math.max(SLOT_MS, Math.min(windowMs, nowMs - this.#startedAtMs)) / MS_PER_SECOND;
    return this.#counts.reduce((sum, count) => sum + count, 0) / seconds;
  }

  /** Empties the slots that have begun since the last call. @returns the newest one */
  #advance(): number {
    const slot = Math.floor(this.#nowMs() / SLOT_MS);
    const passed = Math.min(SLOTS, slot - this.#slot);
    for (let step = 0; step < passed; step++) this.#counts[(slot - step) % SLOTS] = 0;
    this.#slot = slot;
    return slot;
  }
}
