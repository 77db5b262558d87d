const PROGRESS_INTERVAL_MS = 250;

/** Progress feeds a watchdog and a display; a few messages a second are enough for both. */
export function throttled<P>(report: (progress: P) => void): (progress: P) => void {
  let sentAtMs = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const nowMs = performance.now();
    if (nowMs - sentAtMs < PROGRESS_INTERVAL_MS) return;
    sentAtMs = nowMs;
    report(progress);
  };
}
