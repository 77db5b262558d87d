import type { RunOverview } from '../../contract/api/runs.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';
import type { LiveHub } from './live-hub.ts';

/** Tells browsers of a run that was read again, where there is something to tell. */
export class RunAnnouncer {
  readonly #hub: LiveHub;
  readonly #told = new Map<string, { readonly shown: string; readonly committed: number }>();

  constructor(hub: LiveHub) {
    this.#hub = hub;
  }

  announce(run: WatchedRun): void {
    const id = run.entry.run;
    const told = this.#told.get(id);
    const now = { shown: shownOf(run.overview()), committed: committedOf(run) };
    this.#told.set(id, now);
    // Of a live run the speed changes also where nothing else does: it falls.
    if (run.isLive || told?.shown !== now.shown) {
      this.#hub.publish(`run:${id}`, () => ({ type: 'run', run: run.overview() }));
    }
    if (told?.committed !== now.committed) {
      this.#hub.publish(`committed:${id}`, () => ({ type: 'committed', run: id, count: now.committed }));
    }
  }

  /** Drops what is known of a run that is watched no more. */
  forget(run: string): void {
    this.#told.delete(run);
  }
}

/** What a browser would see change. */
function shownOf({ state, items, total, errors, finishedAt }: RunOverview): string {
  return [state, items, total, errors, finishedAt].join(' ');
}

/** Grows with every commit, and once more at the end of the run. */
function committedOf({ commits, epochs, isLive, summary }: WatchedRun): number {
  const committed = commits.commits.size + epochs.epochs.length + epochs.stepCommits.length;
  return committed + (summary?.generations ?? 0) + (isLive ? 0 : 1);
}
