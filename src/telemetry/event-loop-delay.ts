import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';

const NANOSECONDS_PER_MS = 1e6;
/** What happened at the start says nothing about today: recent is what is at most two of these old. */
const WINDOW_MS = 10_000;

export interface EventLoopDelay {
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of the last 10 to 20 seconds, where it is read at least that often. */
  readonly recentP99Ms: number;
}

/** Measures how late the event loop runs its timers; the delay excludes the sampling interval itself. */
export function watchEventLoop(
  resolutionMs = 10,
  nowMs: () => number = () => performance.now(),
): { read(): EventLoopDelay; stop(): void } {
  const [whole, window] = [monitored(resolutionMs), monitored(resolutionMs)];
  const excess = (nanoseconds: number) => Math.max(0, nanoseconds / NANOSECONDS_PER_MS - resolutionMs);
  let windowBeganAtMs = nowMs();
  let windowBeforeP99Ms = 0;
  const readRecent = (): number => {
    const p99Ms = excess(window.percentile(99));
    const recentP99Ms = Math.max(p99Ms, windowBeforeP99Ms);
    if (nowMs() - windowBeganAtMs > WINDOW_MS) {
      windowBeforeP99Ms = p99Ms;
      windowBeganAtMs = nowMs();
      window.reset();
    }
    return recentP99Ms;
  };
  return {
    read: () => ({
      p99Ms: excess(whole.percentile(99)),
      maxMs: excess(whole.max),
      recentP99Ms: readRecent(),
    }),
    stop: () => {
      whole.disable();
      window.disable();
    },
  };
}

function monitored(resolutionMs: number): IntervalHistogram {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  return histogram;
}
