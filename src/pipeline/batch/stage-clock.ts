import type { StageSeconds } from '../../contract/ledger.ts';

const MS_PER_SECOND = 1_000;

/** Where the time of one shard goes: wall time per stage, summed over calls that may overlap. */
export class StageClock {
  readonly #startedAtMs = performance.now();
  readonly #totalsMs: Record<keyof StageSeconds, number> = { fetch: 0, decode: 0, compute: 0, write: 0 };
  /** Bytes of encoded images. */
  bytesRead = 0;

  /** @param work calls `restart` where the time until then was spent waiting for a turn, which is no stage's */
  async time<R>(stage: keyof StageSeconds, work: (restart: () => void) => Promise<R>): Promise<R> {
    let startedAtMs = performance.now();
    try {
      return await work(() => {
        startedAtMs = performance.now();
      });
    } finally {
      this.add(stage, performance.now() - startedAtMs);
    }
  }

  add(stage: keyof StageSeconds, milliseconds: number): void {
    this.#totalsMs[stage] += milliseconds;
  }

  elapsedSeconds(): number {
    return round((performance.now() - this.#startedAtMs) / MS_PER_SECOND);
  }

  seconds(): StageSeconds {
    const { fetch, decode, compute, write } = this.#totalsMs;
    return {
      fetch: round(fetch / MS_PER_SECOND),
      decode: round(decode / MS_PER_SECOND),
      compute: round(compute / MS_PER_SECOND),
      write: round(write / MS_PER_SECOND),
    };
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1e4) / 1e4;
}
