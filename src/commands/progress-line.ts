import type { Progress } from '../queue/follow-run.ts';
import { duration, number } from './print.ts';

const REDRAW_MS = 200;
const BAR_CELLS = 24;
/** The rate is of the last seconds, so that it follows what is happening now. */
const RATE_WINDOW_MS = 10_000;

/** One line on a terminal, redrawn in place; silent where stderr is not a terminal. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #samples: { atMs: number; items: number }[] = [];
  #drawnAtMs = 0;
  #drawn = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  update(progress: Progress, nowMs = Date.now()): void {
    this.#samples = this.#samples.filter(({ atMs }) => nowMs - atMs <= RATE_WINDOW_MS);
    this.#samples.push({ atMs: nowMs, items: progress.items });
    this.show(formatProgress(progress, this.#rate()), nowMs);
  }

  /** Redraws the line, unless it was drawn a moment ago. */
  show(text: string, nowMs = Date.now()): void {
    if (!this.#stream.isTTY || nowMs - this.#drawnAtMs < REDRAW_MS) return;
    this.#drawnAtMs = nowMs;
    this.#stream.write(`\r\u001B[K${text}`);
    this.#drawn = true;
  }

  /** Removes the line, so that what follows starts on a clean one. */
  end(): void {
    if (this.#drawn) this.#stream.write('\r\u001B[K');
    this.#drawn = false;
  }

  #rate(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
    return ((last.items - first.items) * 1_000) / (last.atMs - first.atMs);
  }
}

/** @param rate images per second */
export function formatProgress(progress: Progress, rate: number): string {
  const { items, total, totalKnown, errors } = progress;
  const share = total === 0 ? 0 : Math.min(1, items / total);
  const full = Math.round(share * BAR_CELLS);
  const bar = totalKnown ? `${'█'.repeat(full)}${'░'.repeat(BAR_CELLS - full)} ` : '';
  const eta = totalKnown && rate > 0 ? ` · ETA ${duration((total - items) / rate)}` : '';
  return `${bar}${number(items)}/${number(total)}${totalKnown ? '' : '+'} images · ${number(rate)} images/s${eta} · ${number(errors)} errors`;
}
