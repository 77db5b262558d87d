const SPAN_MS = 30_000;
const SAMPLE_INTERVAL_MS = 500;

/** Images per second over the last half minute, from counts that only grow. */
export class RateWindow {
  readonly #samples: { readonly atMs: number; readonly items: number }[] = [];

  /** @param items done so far */
  add(items: number, atMs: number): void {
    const last = this.#samples.at(-1);
    if (last !== undefined) {
      // A count that went back (an attempt that began again), or a clock that did, begins a new window.
      if (items < last.items || atMs < last.atMs) this.#samples.length = 0;
      else if (atMs - last.atMs < SAMPLE_INTERVAL_MS) return;
    }
    this.#samples.push({ atMs, items });
    while (this.#samples.length > 2 && atMs - (this.#samples[1]?.atMs ?? atMs) > SPAN_MS) {
      this.#samples.shift();
    }
  }

  /** null before there are two samples to compare; falls while nothing is added. */
  imagesPerSecond(nowMs: number): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return null;
    if (nowMs - last.atMs > SPAN_MS) return 0;
    return (last.items - first.items) / ((Math.max(nowMs, last.atMs) - first.atMs) / 1_000);
  }
}
