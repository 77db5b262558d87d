import type { ListRunsQuery, RunList, RunOverview } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { RunIndexEntry } from '../../contract/run.ts';
import { retriedDirectory } from '../../storage/generations.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import type { RunIndex } from '../../storage/run-index.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { refreshIntervalMs } from './refresh-interval.ts';
import { Strangers } from './strangers.ts';
import { WatchedRun } from './watched-run.ts';

/** Runs kept in memory; older ones are found by their id, but not listed. */
const RUNS_LISTED_MAX = 100_000;
/** Of those that are not listed, and were asked for last. */
const RUNS_UNLISTED_MAX = 100;
const READ_CONCURRENCY = 32;
const TICK_MS = 1_000;
/** Between two rounds where one was not enough: after a start with ten thousand runs, say. */
const BUSY_TICK_MS = 50;
const INDEX_INTERVAL_MS = 2_000;
/** A clock that is behind makes an id that sorts before the newest: the whole index is listed now and then. */
const WHOLE_INDEX_INTERVAL_MS = 60_000;
/** Runs read again in one round, and how many of them because of an event: the others must get their turn too. */
const REFRESHES_PER_TICK = 256;
const TOLD_REFRESHES_PER_TICK = 192;
/** Runs looked up in one round since an event names them and nobody knows them. */
const LOOKUPS_PER_TICK = 32;
/** Runs that events tell of between two rounds. */
const TOLD_MAX = 100_000;

export interface CatalogueOptions {
  readonly index: RunIndex;
  readonly resolver: StoreResolver;
  readonly logger: Logger;
  /** Hears of every run that is new, or has changed. */
  readonly onChange: (run: WatchedRun) => void;
  /** Hears of a run that is no longer watched, since there are too many. */
  readonly onForget?: (run: string) => void;
  /** 100,000 unless given. */
  readonly listedMax?: number;
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
  readonly #unlisted = new Map<string, WatchedRun>();
  /** Newest first, once they are sorted. */
  readonly #order: WatchedRun[] = [];
  #isSorted = true;
  /** Whether more runs are due than one round reads. */
  #isBehind = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | null = null;
  #ticking: Promise<void> | null = null;
  #indexReadAtMs = -Infinity;
  #wholeIndexReadAtMs = -Infinity;
  /** Runs that an event told of. */
  readonly #told = new Set<string>();
  readonly #strangers = new Strangers();
  /** Listed runs by their directory: whoever retries another's errors changes what that one shows. */
  readonly #byDirectory = new Map<string, string>();

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Reads the index, then goes on in the background. */
  async start(): Promise<void> {
    await this.readIndex();
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(
      () => void this.tick().then(() => this.#scheduleTick()),
      this.#isBehind ? BUSY_TICK_MS : TICK_MS,
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#ticking;
  }

  get size(): number {
    return this.#runs.size;
  }

  all(): Iterable<WatchedRun> {
    return this.#runs.values();
  }

  known(run: string): WatchedRun | null {
    return this.#runs.get(run) ?? this.#unlisted.get(run) ?? null;
  }

  /** @throws ImagemillError RUN_NOT_FOUND, STORE_* */
  async get(run: string): Promise<WatchedRun> {
    return this.known(run) ?? this.#add(await this.#options.index.find(run));
  }

  /** Says that something has happened to a run; it is read again soon. A run nobody has heard of is looked up. */
  touch(run: string): void {
    if (this.#told.size < TOLD_MAX) this.#told.add(run);
  }

  list(query: ListRunsQuery): RunList {
    const text = query.text?.trim().toLowerCase() ?? '';
    const runs: RunOverview[] = [];
    let [matching, pending] = [0, 0];
    let next: string | null = null;
    for (const run of this.#newestFirst()) {
      const { run: id, kind } = run.entry;
      if (run.state === 'unknown') pending += 1;
      if (query.kind !== undefined && kind !== query.kind) continue;
      if (query.state !== undefined && run.state !== query.state) continue;
      if (text !== '' && !run.searchText.includes(text)) continue;
      matching += 1;
      if (query.cursor !== undefined && id >= query.cursor) continue;
      if (runs.length < query.limit) runs.push(run.overview());
      else next ??= runs.at(-1)?.run ?? null;
    }
    return { runs, next, matching, pending };
  }

  #newestFirst(): readonly WatchedRun[] {
    if (!this.#isSorted) this.#order.sort((a, b) => (a.entry.run < b.entry.run ? 1 : -1));
    this.#isSorted = true;
    return this.#order;
  }

  /** One round of the background work; a round that is still going on is waited for. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick()
      .catch((error: unknown) => this.#options.logger.warn({ err: error }, 'the runs could not be read'))
      .finally(() => (this.#ticking = null));
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    if (this.#now() - this.#indexReadAtMs >= INDEX_INTERVAL_MS) await this.readIndex();
    await this.#lookUpStrangers();
    await this.#refresh(this.#due());
  }

  async #lookUpStrangers(): Promise<void> {
    const now = this.#now();
    const wanted: string[] = [];
    for (const id of this.#told) {
      if (this.known(id) !== null) continue;
      if (this.#strangers.isOne(id, now)) this.#told.delete(id);
      else if (wanted.length < LOOKUPS_PER_TICK) wanted.push(id);
    }
    await Promise.all(
      wanted.map(async (id) => {
        const entry = await this.#find(id);
        if (entry !== null) this.#add(entry);
        else {
          this.#told.delete(id);
          this.#strangers.note(id, now);
        }
      }),
    );
  }

  /** What is read again now: runs that events told of, then those that were not looked at for longest. */
  #due(): WatchedRun[] {
    const now = this.#now();
    const told: WatchedRun[] = [];
    for (const id of this.#told) {
      if (told.length === TOLD_REFRESHES_PER_TICK) break;
      const run = this.known(id);
      if (run === null) continue;
      told.push(run);
      this.#told.delete(id);
    }
    const others: WatchedRun[] = [];
    const isTold = new Set(told);
    for (const run of this.#newestFirst()) {
      if (now - run.refreshedAtMs >= refreshIntervalMs(run) && !isTold.has(run)) others.push(run);
    }
    others.sort((a, b) =>
      a.refreshedAtMs < b.refreshedAtMs ? -1 : a.refreshedAtMs > b.refreshedAtMs ? 1 : 0,
    );
    const room = REFRESHES_PER_TICK - told.length;
    this.#isBehind = others.length > room;
    return [...told, ...others.slice(0, room)];
  }

  async #refresh(runs: readonly WatchedRun[]): Promise<void> {
    for (let start = 0; start < runs.length; start += READ_CONCURRENCY) {
      await Promise.all(runs.slice(start, start + READ_CONCURRENCY).map((run) => this.#refreshOne(run)));
    }
  }

  async #refreshOne(run: WatchedRun): Promise<void> {
    const { fault, state } = run;
    await run.refresh();
    if (run.fault !== null && run.fault.code !== fault?.code) {
      const told = run.fault.code === 'INTERNAL' ? run.fault.cause : run.fault.message;
      this.#options.logger.warn({ run: run.entry.run, err: told }, 'a run cannot be read');
    }
    // A generation that is complete changes the rows and errors of the run it retries.
    const directory = state === run.state ? null : retriedDirectory(run.entry.out);
    const retried = directory === null ? undefined : this.#byDirectory.get(directory);
    if (retried !== undefined) this.touch(retried);
    this.#options.onChange(run);
  }

  /** Reads entries of the index that are new. */
  async readIndex(): Promise<void> {
    const now = this.#now();
    const isWhole = now - this.#wholeIndexReadAtMs >= WHOLE_INDEX_INTERVAL_MS;
    const [newest] = this.#newestFirst();
    const ids = await this.#options.index.ids(isWhole ? undefined : newest?.entry.run);
    this.#indexReadAtMs = now;
    if (isWhole) this.#wholeIndexReadAtMs = now;
    const fresh = ids.slice(-this.#listedMax).filter((id) => !this.#runs.has(id));
    fresh.reverse();
    for (let start = 0; start < fresh.length; start += READ_CONCURRENCY) {
      const entries = await Promise.all(
        fresh.slice(start, start + READ_CONCURRENCY).map((id) => this.#find(id)),
      );
      for (const entry of entries) if (entry !== null) this.#add(entry);
    }
  }

  get #listedMax(): number {
    return this.#options.listedMax ?? RUNS_LISTED_MAX;
  }

  /** null where there is no such entry; one that cannot be read hides itself, not all others. */
  async #find(id: string): Promise<RunIndexEntry | null> {
    try {
      return await this.#options.index.find(id);
    } catch (error) {
      if (!(error instanceof ImagemillError && error.code === 'RUN_NOT_FOUND')) {
        this.#options.logger.warn({ err: error, run: id }, 'an entry of the index cannot be read');
      }
      return null;
    }
  }

  #add(entry: RunIndexEntry): WatchedRun {
    const known = this.known(entry.run);
    if (known !== null) return known;
    const run = new WatchedRun(entry, this.#options.resolver, undefined, this.#now);
    if (this.#runs.size >= this.#listedMax && !this.#makeRoomFor(entry.run)) {
      this.#unlisted.set(entry.run, run);
      const [oldest] = this.#unlisted.keys();
      if (this.#unlisted.size > RUNS_UNLISTED_MAX && oldest !== undefined) this.#unlisted.delete(oldest);
      return run;
    }
    this.#runs.set(entry.run, run);
    this.#byDirectory.set(run.ledger.out, entry.run);
    const last = this.#order.at(-1);
    this.#order.push(run);
    if (last !== undefined && last.entry.run < entry.run) this.#isSorted = false;
    return run;
  }

  /** Stops listing the oldest run. @returns false where that would be the one there is to be room for */
  #makeRoomFor(run: string): boolean {
    const oldest = this.#newestFirst().at(-1);
    if (oldest === undefined || run < oldest.entry.run) return false;
    this.#order.pop();
    this.#byDirectory.delete(oldest.ledger.out);
    this.#runs.delete(oldest.entry.run);
    this.#options.onForget?.(oldest.entry.run);
    return true;
  }
}

/** @throws ImagemillError RUN_NOT_FOUND where the run is none of its kind */
export function requireKind(run: WatchedRun, kinds: readonly RunIndexEntry['kind'][]): void {
  if (kinds.includes(run.entry.kind)) return;
  throw new ImagemillError(
    'RUN_NOT_FOUND',
    `expected a run of kind ${kinds.join(' or ')}, got ${run.entry.run}, a ${run.entry.kind} run`,
  );
}
