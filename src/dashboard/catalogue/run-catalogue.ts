import type { ListRunsQuery, RunList, RunOverview } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { RunIndexEntry } from '../../contract/run.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import type { RunIndex } from '../../storage/run-index.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { WatchedRun } from './watched-run.ts';

/** Runs kept in memory; older ones are found by their id, but not listed. */
const RUNS_LISTED_MAX = 100_000;
const READ_CONCURRENCY = 32;
const TICK_MS = 1_000;
const INDEX_INTERVAL_MS = 2_000;
/** A clock that is behind makes an id that sorts before the newest: the whole index is listed now and then. */
const WHOLE_INDEX_INTERVAL_MS = 60_000;
/** A live run whose events are lost is read again after this. */
const LIVE_INTERVAL_MS = 5_000;
/** Failed and cancelled runs may be resumed by others. */
const STOPPED_INTERVAL_MS = 30_000;
const REFRESHES_PER_TICK = 64;

export interface CatalogueOptions {
  readonly index: RunIndex;
  readonly resolver: StoreResolver;
  readonly logger: Logger;
  /** Hears of every run that is new, or has changed. */
  readonly onChange: (run: WatchedRun) => void;
  readonly now?: () => number;
}

/**
 * All runs of the index with their states, kept in memory, so that a page costs no reads, however many browsers ask
 * for it. Reads in the background: what is new in the index, live runs, and now and then those that have stopped.
 */
export class RunCatalogue {
  readonly #options: CatalogueOptions;
  readonly #now: () => number;
  readonly #runs = new Map<string, WatchedRun>();
  /** Ids, newest first. */
  #order: string[] = [];
  #timer: NodeJS.Timeout | null = null;
  #ticking: Promise<void> | null = null;
  #indexReadAtMs = -Infinity;
  #wholeIndexReadAtMs = -Infinity;
  /** Runs that an event told of. */
  readonly #dirty = new Set<string>();

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Reads the index, then goes on in the background. */
  async start(): Promise<void> {
    await this.readIndex();
    this.#timer = setInterval(() => void this.tick(), TICK_MS);
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#ticking;
  }

  get size(): number {
    return this.#runs.size;
  }

  all(): Iterable<WatchedRun> {
    return this.#runs.values();
  }

  known(run: string): WatchedRun | null {
    return this.#runs.get(run) ?? null;
  }

  /** @throws ImagemillError RUN_NOT_FOUND */
  async get(run: string): Promise<WatchedRun> {
    const known = this.#runs.get(run);
    if (known !== undefined) return known;
    return this.#add(await this.#options.index.find(run));
  }

  /** Says that something has happened to a run; it is read again soon. A run nobody has heard of is looked up. */
  touch(run: string): void {
    this.#dirty.add(run);
  }

  list(query: ListRunsQuery): RunList {
    const text = query.text?.trim().toLowerCase() ?? '';
    const runs: RunOverview[] = [];
    let [matching, pending] = [0, 0];
    let next: string | null = null;
    for (const id of this.#order) {
      const run = this.#runs.get(id);
      if (run === undefined) continue;
      if (run.state === 'unknown') pending += 1;
      if (query.kind !== undefined && run.entry.kind !== query.kind) continue;
      if (query.state !== undefined && run.state !== query.state) continue;
      if (text !== '' && !searchText(run.entry).includes(text)) continue;
      matching += 1;
      if (query.cursor !== undefined && id >= query.cursor) continue;
      if (runs.length < query.limit) runs.push(run.overview());
      else next ??= runs.at(-1)?.run ?? null;
    }
    return { runs, next, matching, pending };
  }

  /** One round of the background work; a round that is still going on is waited for. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick()
      .catch((error: unknown) => this.#options.logger.warn({ err: error }, 'the runs could not be read'))
      .finally(() => (this.#ticking = null));
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    const now = this.#now();
    const unknown = [...this.#dirty].some((id) => !this.#runs.has(id));
    if (unknown || now - this.#indexReadAtMs >= INDEX_INTERVAL_MS) await this.readIndex();
    const due: WatchedRun[] = [];
    for (const id of this.#order) {
      const run = this.#runs.get(id);
      if (run !== undefined && this.#isDue(run, now)) due.push(run);
      if (due.length >= REFRESHES_PER_TICK) break;
    }
    for (const id of this.#dirty) {
      const run = this.#runs.get(id);
      if (run !== undefined && !due.includes(run)) due.push(run);
    }
    this.#dirty.clear();
    await this.#refresh(due);
  }

  #isDue({ state, refreshedAtMs }: WatchedRun, now: number): boolean {
    const age = now - refreshedAtMs;
    if (state === 'done') return false;
    return age >= (state === 'planning' || state === 'running' ? LIVE_INTERVAL_MS : STOPPED_INTERVAL_MS);
  }

  async #refresh(runs: readonly WatchedRun[]): Promise<void> {
    for (let start = 0; start < runs.length; start += READ_CONCURRENCY) {
      await Promise.all(
        runs.slice(start, start + READ_CONCURRENCY).map(async (run) => {
          await run.refresh();
          this.#options.onChange(run);
        }),
      );
    }
  }

  /** Reads entries of the index that are new. */
  async readIndex(): Promise<void> {
    const now = this.#now();
    const whole = now - this.#wholeIndexReadAtMs >= WHOLE_INDEX_INTERVAL_MS;
    const ids = await this.#options.index.ids(whole ? undefined : this.#order[0]);
    this.#indexReadAtMs = now;
    if (whole) this.#wholeIndexReadAtMs = now;
    const fresh = ids.slice(-RUNS_LISTED_MAX).filter((id) => !this.#runs.has(id));
    fresh.reverse();
    for (let start = 0; start < fresh.length; start += READ_CONCURRENCY) {
      const chunk = fresh.slice(start, start + READ_CONCURRENCY);
      await Promise.all(
        chunk.map(async (id) => {
          // An entry that cannot be read hides itself, not all others.
          const entry = await this.#options.index.find(id).catch((error: unknown) => {
            this.#options.logger.warn({ err: error, run: id }, 'an entry of the index cannot be read');
            return null;
          });
          if (entry !== null) this.#add(entry);
        }),
      );
    }
  }

  #add(entry: RunIndexEntry): WatchedRun {
    const known = this.#runs.get(entry.run);
    if (known !== undefined) return known;
    const run = new WatchedRun(entry, this.#options.resolver, undefined, this.#now);
    this.#runs.set(entry.run, run);
    this.#order.push(entry.run);
    if ((this.#order.at(-2) ?? '~') < entry.run) this.#order.sort().reverse();
    return run;
  }
}

function searchText({ run, source, out, kind, submittedBy = '' }: RunIndexEntry): string {
  return `${run} ${source} ${out} ${kind} ${submittedBy}`.toLowerCase();
}

/** @throws ImagemillError RUN_NOT_FOUND where the run is none of its kind */
export function requireKind(run: WatchedRun, kinds: readonly RunIndexEntry['kind'][]): void {
  if (kinds.includes(run.entry.kind)) return;
  throw new ImagemillError(
    'RUN_NOT_FOUND',
    `expected a run of kind ${kinds.join(' or ')}, got ${run.entry.run}, a ${run.entry.kind} run`,
  );
}
