import type { PlanProgress, ShardProgress } from '../../contract/jobs.ts';
import { asImagemillError, ImagemillError } from '../../contract/errors.ts';
import type { Commit, Failure, Plan } from '../../contract/ledger.ts';
import type { RunOverview, ShownState } from '../../contract/api/runs.ts';
import type { Run, RunIndexEntry } from '../../contract/run.ts';
import type { TrainProgress, TrainSummary } from '../../contract/training.ts';
import { readMergedSummary, type MergedSummary } from '../../storage/generations.ts';
import { RunLedger } from '../../storage/run-ledger.ts';
import { TrainingLedger } from '../../storage/training-ledger.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import { CommitReader } from './commit-reader.ts';
import { EpochReader } from './epoch-reader.ts';
import { LabelCollector } from './label-collector.ts';
import { RateWindow } from './rate-window.ts';

/** What is done changes by a new generation alone. */
const DONE_INTERVAL_MS = 2_000;
const LIVE: ReadonlySet<ShownState> = new Set(['planning', 'running', 'unknown']);

/** One run as the dashboard knows it: its ledger as it was last read, and what its jobs have said since. */
export class WatchedRun {
  readonly entry: RunIndexEntry;
  readonly ledger: RunLedger;
  readonly commits: CommitReader;
  readonly epochs: EpochReader;
  /** Of the commits that were read. */
  readonly labels = new LabelCollector();
  /** Shards that are being worked at, by what they last reported. */
  readonly active = new Map<number, ShardProgress>();
  readonly failedShards = new Set<number>();
  readonly #now: () => number;
  readonly #rate = new RateWindow();
  /** A document is larger than all the rest, and there are many runs: it is read again where nobody holds it. */
  #document: WeakRef<Run> | null = null;
  #isOwn = false;
  /** Of a training run: images per step. */
  #batchSize: number | null = null;
  #summary: MergedSummary | null = null;
  #trainSummary: TrainSummary | null = null;
  #refreshing: Promise<void> | null = null;
  #hasLastEpoch = false;
  #searchText: string | null = null;
  state: ShownState = 'unknown';
  /** How many times in succession the state was read, and was the same. */
  unchangedReads = 0;
  /** Why the ledger could not be read the last time. */
  fault: ImagemillError | null = null;
  /** Why the run stopped short; null unless it is `failed`. */
  failure: Failure | null = null;
  refreshedAtMs = -Infinity;
  plan: Plan | null = null;
  planned: PlanProgress | null = null;
  latest: TrainProgress | null = null;

  constructor(
    entry: RunIndexEntry,
    resolver: StoreResolver,
    onCommit: (commit: Commit) => void = () => {},
    now = Date.now,
  ) {
    this.entry = entry;
    this.ledger = new RunLedger(resolver.open(entry.out));
    this.#now = now;
    const note = (commit: Commit): void => {
      this.labels.add(commit);
      onCommit(commit);
    };
    this.commits = new CommitReader(this.ledger, note, now);
    this.epochs = new EpochReader(this.ledger);
  }

  get isLive(): boolean {
    return LIVE.has(this.state);
  }

  get summary(): MergedSummary | null {
    return this.#summary;
  }

  /** What a filter by text looks through; lower case. */
  get searchText(): string {
    const { run, source, out, kind, submittedBy = '' } = this.entry;
    this.#searchText ??= `${run} ${source} ${out} ${kind} ${submittedBy}`.toLowerCase();
    return this.#searchText;
  }

  /** Whether every commit that the run will ever have was read. */
  get isWholeRead(): boolean {
    return this.plan !== null && this.commits.commits.size >= this.plan.shards;
  }

  /** run.json. @throws ImagemillError RUN_NOT_FOUND, STORE_*, CONTRACT_* */
  async document(): Promise<Run> {
    const known = this.#document?.deref();
    if (known !== undefined) return known;
    const found = await this.ledger.readRun();
    // Its directory was emptied and given to another run: what is there must not be shown, or cancelled, as this one.
    if (found.run !== this.entry.run) {
      throw new ImagemillError(
        'RUN_NOT_FOUND',
        `expected ${this.entry.run} at ${this.ledger.out}, found ${found.run}`,
      );
    }
    this.#document = new WeakRef(found);
    this.#isOwn = true;
    if (found.spec.kind === 'train') this.#batchSize = found.spec.recipe.batchSize;
    return found;
  }

  /** What is known of its commits without asking the store again. */
  get knownCommits(): { commits: CommitReader['commits']; isComplete: boolean } {
    const { commits } = this.commits;
    return { commits, isComplete: this.plan !== null && commits.size === this.plan.shards };
  }

  noteShard(shard: number, progress: ShardProgress): void {
    this.failedShards.delete(shard);
    this.active.set(shard, progress);
  }

  noteShardEnd(shard: number, outcome: 'completed' | 'failed'): void {
    this.active.delete(shard);
    if (outcome === 'completed') this.commits.announce(shard);
    else this.failedShards.add(shard);
  }

  /** Reads what is new in the ledger. Callers at the same time share one reading. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** The same, and everything a page of the run shows, also where the run has stopped short. */
  async refreshWhole(): Promise<void> {
    const isFresh = this.state === 'done' && this.#now() - this.refreshedAtMs < DONE_INTERVAL_MS;
    if (!isFresh) await this.refresh();
    if (this.entry.kind === 'train') {
      // Those that were read before its end lack the last.
      if (!this.#hasLastEpoch) await this.epochs.refresh();
      this.#hasLastEpoch = this.state === 'done';
    } else if (!this.isWholeRead) {
      do await this.#refreshCommits();
      while (this.commits.isBehind);
    }
  }

  async #refresh(): Promise<void> {
    const before = this.state;
    try {
      await this.#readLedger();
      this.fault = null;
    } catch (error) {
      this.fault = asImagemillError(error);
      // A store that does not answer says nothing of the run. If its folder is gone, or closed to us, one line of the
      // list says so, and the others stay readable.
      if (this.fault.scope !== 'service' || !this.fault.retryable) this.state = 'unreadable';
    }
    this.unchangedReads = this.state === before ? this.unchangedReads + 1 : 0;
    if (!this.isLive) this.active.clear();
    this.refreshedAtMs = this.#now();
  }

  async #readLedger(): Promise<void> {
    const isTrain = this.entry.kind === 'train';
    if (!this.#isOwn) await this.document();
    const wasFailed = this.state === 'failed';
    this.state = await this.ledger.state();
    this.plan ??= await this.ledger.findPlan();
    this.failure = this.state === 'failed' ? await this.ledger.findFailure() : null;
    if (wasFailed && this.isLive) this.failedShards.clear();
    for (const { shard } of this.failure?.shards ?? []) this.failedShards.add(shard);
    if (this.state === 'done') await (isTrain ? this.#readTrainSummary() : this.#readSummary());
    else if (this.isLive) await (isTrain ? this.epochs.refresh() : this.#refreshCommits());
  }

  #refreshCommits(): Promise<void> {
    return this.commits.refresh(this.plan?.shards ?? null);
  }

  async #readSummary(): Promise<void> {
    this.#summary = await readMergedSummary(this.ledger, await this.document());
  }

  async #readTrainSummary(): Promise<void> {
    this.#trainSummary ??= await new TrainingLedger(this.ledger.store).findSummary();
  }

  overview(): RunOverview {
    const { run, kind, source, out, createdAt, submittedBy = null } = this.entry;
    const done = this.#done();
    const total = this.plan?.items ?? (this.planned?.complete === true ? this.planned.items : null);
    const progress =
      this.state === 'done' ? 1 : total === null || total === 0 ? 0 : Math.min(1, (done?.items ?? 0) / total);
    if (done !== null && this.isLive) this.#rate.add(done.items, this.#now());
    const imagesPerSecond = this.#imagesPerSecond();
    return {
      run,
      kind,
      state: this.state,
      source,
      out,
      createdAt,
      submittedBy,
      items: done?.items ?? null,
      total,
      errors: done?.errors ?? null,
      progress,
      imagesPerSecond,
      etaSeconds: this.#eta(total, done?.items ?? 0, imagesPerSecond),
      finishedAt: this.#summary?.finishedAt ?? this.#trainSummary?.finishedAt ?? null,
    };
  }

  /** Images done; null where the ledger has not been read so far as to tell. */
  #done(): { items: number; errors: number } | null {
    if (this.#summary !== null) return { items: this.#summary.items, errors: this.#summary.errors };
    if (this.#trainSummary !== null) return { items: this.#trainSummary.items, errors: 0 };
    if (this.entry.kind === 'train') return this.#trained();
    if (!this.isLive && !this.commits.isListed) return null;
    let [items, errors] = [this.commits.items, this.commits.items - this.commits.labelled];
    for (const [shard, progress] of this.active) {
      if (this.commits.commits.has(shard)) continue;
      items += progress.items;
      errors += progress.errors;
    }
    return { items, errors };
  }

  #trained(): { items: number; errors: number } | null {
    const committed = this.epochs.items;
    if (this.latest === null || this.#batchSize === null) return { items: committed, errors: 0 };
    const { epochs } = this.epochs;
    const before = epochs
      .filter(({ epoch }) => epoch < (this.latest?.epoch ?? 0))
      .reduce((sum, { train }) => sum + train.items, 0);
    return {
      items: Math.max(committed, before + this.latest.step * this.#batchSize),
      errors: 0,
    };
  }

  #imagesPerSecond(): number | null {
    const summary = this.#summary ?? this.#trainSummary;
    if (summary !== null) return summary.imagesPerSecond;
    return this.isLive ? this.#rate.imagesPerSecond(this.#now()) : null;
  }

  #eta(total: number | null, items: number, imagesPerSecond: number | null): number | null {
    if (this.state === 'done') return 0;
    if (!this.isLive || total === null || imagesPerSecond === null || imagesPerSecond === 0) return null;
    return Math.max(0, total - items) / imagesPerSecond;
  }
}
