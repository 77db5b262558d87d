import type { Commit, StageSeconds } from '../../contract/ledger.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';

const READ_CONCURRENCY = 32;
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

  /** Says that a shard may have a commit by now; the next refresh looks. */
  announce(shard: number): void {
    if (!this.#commits.has(shard)) this.#announced.add(shard);
  }

  /** Reads what is new. Callers at the same time share one reading. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #read(): Promise<void> {
    const announced = [...this.#announced];
    if (this.#now() - this.#listedAtMs >= LISTING_INTERVAL_MS) {
      this.#listedAtMs = this.#now();
      for await (const shard of this.#ledger.committedShards()) this.announce(shard);
      announced.splice(0, announced.length, ...this.#announced);
    }
    for (let start = 0; start < announced.length; start += READ_CONCURRENCY) {
      const shards = announced.slice(start, start + READ_CONCURRENCY);
      const found = await Promise.all(shards.map((shard) => this.#ledger.findCommit(shard)));
      for (const [place, commit] of found.entries()) {
        this.#announced.delete(shards[place] ?? -1);
        if (commit !== null) this.#add(commit);
      }
    }
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
