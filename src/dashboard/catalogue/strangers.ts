/** How long a run that is not in the index is not looked for again: others may share the queue, and not the index. */
const STRANGER_INTERVAL_MS = 30_000;
const NOTED_MAX = 100_000;

/** Runs that events tell of and that are not in the index. */
export class Strangers {
  /** By when they were looked for, longest ago first. */
  readonly #lookedForAtMs = new Map<string, number>();

  /** Whether a run was looked for so lately that there is no point in doing it again. */
  isOne(run: string, nowMs: number): boolean {
    return nowMs - (this.#lookedForAtMs.get(run) ?? -Infinity) < STRANGER_INTERVAL_MS;
  }

  /** Says that a run was looked for in vain. */
  note(run: string, nowMs: number): void {
    this.#lookedForAtMs.delete(run);
    this.#lookedForAtMs.set(run, nowMs);
    const [oldest] = this.#lookedForAtMs.keys();
    if (this.#lookedForAtMs.size > NOTED_MAX && oldest !== undefined) this.#lookedForAtMs.delete(oldest);
  }
}
