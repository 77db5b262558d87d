import type { WatchedRun } from './watched-run.ts';

/** A live run whose events are lost is read again after this. */
const LIVE_INTERVAL_MS = 5_000;
/** Failed runs may be resumed by others; the longer one lies still, the less often it is looked at. */
const STOPPED_INTERVAL_MS = 30_000;
const STOPPED_INTERVAL_MAX_MS = 600_000;
const DOUBLINGS_MAX = 10;

/** How long what was read of a run is good for, unless an event tells otherwise. */
export function refreshIntervalMs({ state, unchangedReads, commits }: WatchedRun): number {
  if (state === 'done') return Infinity;
  if (state === 'planning' || state === 'running') return commits.isBehind ? 0 : LIVE_INTERVAL_MS;
  return Math.min(
    STOPPED_INTERVAL_MAX_MS,
    STOPPED_INTERVAL_MS * 2 ** Math.min(unchangedReads, DOUBLINGS_MAX),
  );
}
