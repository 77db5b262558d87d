import type { Commit, StageSeconds } from '../../contract/ledger.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';

const READ_CONCURRENCY = 32;
/** Of one refresh: a run with a hundred thousand commits that nobody has read yet must not hold up all others. */
const COMMITS_PER_REFRESH = 1_024;
/** A commit whose event was lost is found by listing all of them, this long after the last time. */
const LISTING_INTERVAL_MS = 30_000;

/** What the dashboard keeps of a commit: little, since a run may have a hundred thousand. */
export type CommitFacts = Pick<
  Commit,
  'items' | 'labelled' | 'errorsByCode' | 'seconds' | 'worker' | 'committedAt'
>;

/**
 * The commits of one run, each read once: a run that goes on costs as many reads as it has new commits, however often
 * it is looked at.
 */
export class CommitReader {
  readonly #ledger: RunLedger;
  readonly #now: () => number;
  readonly #onCommit: (commit: Commit) => void;
  readonly #commits = new Map<number, CommitFacts>();
  readonly #announced = new Set<number>();
  #listedAtMs = -Infinity;
  #reading: Promise<void> | null = null;
  readonly errorsByCode: Record<string, number> = {};
  readonly stages: StageSeconds = { fetch: 0, decode: 0, compute: 0, write: 0 };
  items = 0;
  labelled = 0;

  /** @param onCommit sees every commit once, in no particular order */
  constructor(ledger: RunLedger, onCommit: (commit: Commit) => void = () => {}, now = Date.now) {
    this.#ledger = ledger;
    this.#onCommit = onCommit;
    this.#now = now;
  }

  get commits(): ReadonlyMap<number, CommitFacts> {
    return this.#commits;
  }

  /** Whether commits are known of that were not read yet. */
  get isBehind(): boolean {
    return this.#announced.size > 0;
  }

  /** Whether all that there were at some time have been looked for. */
  get isListed(): boolean {
    return this.#listedAtMs > -Infinity;
  }

  /** Says that a shard may have a commit by now; the next refresh looks. */
  announce(shard: number): void {
    if (!this.#commits.has(shard)) this.#announced.add(shard);
  }

  /**
   * Reads what is new, or a part of it: see {@link isBehind}. Callers at the same time share one reading.
   * @param planned shards of the run, where that is known: once all have commits there is nothing to look for
   */
  refresh(planned: number | null = null): Promise<void> {
    this.#reading ??= this.#read(planned).finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #read(planned: number | null): Promise<void> {
    if (planned !== null && this.#commits.size >= planned) return this.#announced.clear();
    if (this.#now() - this.#listedAtMs >= LISTING_INTERVAL_MS) {
      for await (const shard of this.#ledger.committedShards()) this.announce(shard);
      this.#listedAtMs = this.#now();
    }
    const shards = first(this.#announced, COMMITS_PER_REFRESH);
    for (let start = 0; start < shards.length; start += READ_CONCURRENCY) {
      await Promise.all(shards.slice(start, start + READ_CONCURRENCY).map((shard) => this.#readOne(shard)));
    }
  }

  async #readOne(shard: number): Promise<void> {
    const commit = await this.#ledger.findCommit(shard);
    this.#announced.delete(shard);
    if (commit !== null) this.#add(commit);
  }

  #add(commit: Commit): void {
    if (this.#commits.has(commit.shard)) return;
    const { items, labelled, errorsByCode, seconds, worker, committedAt, stages } = commit;
    this.#commits.set(commit.shard, { items, labelled, errorsByCode, seconds, worker, committedAt });
    this.items += items;
    this.labelled += labelled;
    for (const [code, count] of Object.entries(errorsByCode)) {
      this.errorsByCode[code] = (this.errorsByCode[code] ?? 0) + count;
    }
    for (const stage of Object.keys(this.stages) as (keyof StageSeconds)[])
      this.stages[stage] += stages[stage];
    this.#onCommit(commit);
  }
}

function first<T>(values: Iterable<T>, most: number): T[] {
  const taken: T[] = [];
  for (const value of values) {
    if (taken.length === most) break;
    taken.push(value);
  }
  return taken;
}
