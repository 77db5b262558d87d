import { monitorEventLoopDelay } from 'node:perf_hooks';

const NANOSECONDS_PER_MS = 1e6;

export interface EventLoopDelay {
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Measures how late the event loop runs its timers; the delay excludes the sampling interval itself. */
export function watchEventLoop(resolutionMs = 10): { read(): EventLoopDelay; stop(): void } {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  const excess = (nanoseconds: number) => Math.max(0, nanoseconds / NANOSECONDS_PER_MS - resolutionMs);
  return {
    read: () => ({ p99Ms: excess(histogram.percentile(99)), maxMs: excess(histogram.max) }),
    stop: () => histogram.disable(),
  };
}
