import type { DocumentType } from '../contract/document.ts';
import { ImagemillError } from '../contract/errors.ts';
import {
  cancellationDocument,
  commitDocument,
  failureDocument,
  generationDocument,
  planDocument,
  shardDocument,
  summaryDocument,
  type Commit,
  type Failure,
  type Generation,
  type Plan,
  type Shard,
  type Summary,
} from '../contract/ledger.ts';
import { shardName } from '../contract/ids.ts';
import { runDocument, type Run, type RunState } from '../contract/run.ts';
import { ledgerKeys, shardOfKey } from './ledger-keys.ts';
import type { ListOptions, ObjectStore } from './object-store.ts';
import type { z } from 'zod';

/** Commits read at a time when a whole run is read. */
const READ_CONCURRENCY = 32;
/** Shards whose names have six digits, and sort as their numbers do. */
const SIX_DIGITS_MAX = 999_999;

/**
 * A run's directory in the object store, which is the truth about the run: see the contract for each document.
 * Documents are created once (`create…` returns false where one is there already) and never changed, except
 * `failed.json`, which a resumed run removes.
 */
export class RunLedger {
  readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  get out(): string {
    return this.store.rootUri;
  }

  /** @throws ImagemillError RUN_NOT_FOUND */
  async readRun(): Promise<Run> {
    const run = await this.findRun();
    if (run === null) {
      throw new ImagemillError('RUN_NOT_FOUND', `expected a run at ${this.out}, found no ${ledgerKeys.run}`);
    }
    return run;
  }

  findRun = (): Promise<Run | null> => this.#find(ledgerKeys.run, runDocument);
  createRun = (run: Run): Promise<boolean> => this.#create(ledgerKeys.run, runDocument, run);

  readShard = (shard: number): Promise<Shard> => this.#read(ledgerKeys.shard(shard), shardDocument);
  createShard = (shard: Shard): Promise<boolean> =>
    this.#create(ledgerKeys.shard(shard.shard), shardDocument, shard);

  findPlan = (): Promise<Plan | null> => this.#find(ledgerKeys.plan, planDocument);
  createPlan = (plan: Plan): Promise<boolean> => this.#create(ledgerKeys.plan, planDocument, plan);

  findCommit = (shard: number): Promise<Commit | null> =>
    this.#find(ledgerKeys.commit(shard), commitDocument);

  /**
   * Makes a part the shard's result, unless another attempt's part is already.
   * @returns the commit that stands: ours (its token is ours) or the earlier one. A lost reply to our own
   *   conditional put comes back as "exists"; comparing tokens tells it from a lost race.
   */
  async commit(commit: Commit): Promise<Commit> {
    if (await this.#create(ledgerKeys.commit(commit.shard), commitDocument, commit)) return commit;
    return this.#read(ledgerKeys.commit(commit.shard), commitDocument);
  }

  findSummary = (): Promise<Summary | null> => this.#find(ledgerKeys.summary, summaryDocument);
  createSummary = (summary: Summary): Promise<boolean> =>
    this.#create(ledgerKeys.summary, summaryDocument, summary);

  findGeneration = (generation: number): Promise<Generation | null> =>
    this.#find(ledgerKeys.generation(generation), generationDocument);
  createGeneration = (generation: Generation): Promise<boolean> =>
    this.#create(ledgerKeys.generation(generation.generation), generationDocument, generation);

  findFailure = (): Promise<Failure | null> => this.#find(ledgerKeys.failure, failureDocument);
  writeFailure = (failure: Failure): Promise<void> =>
    this.store.put(ledgerKeys.failure, failureDocument.encode(failure));
  clearFailure = (): Promise<void> => this.store.delete(ledgerKeys.failure);

  isCancelled = async (): Promise<boolean> => (await this.store.head(ledgerKeys.cancellation)) !== null;
  cancel = (run: string, cancelledAt: Date): Promise<void> =>
    this.store.put(
      ledgerKeys.cancellation,
      cancellationDocument.encode({
        schema: cancellationDocument.id,
        run,
        cancelledAt: cancelledAt.toISOString(),
      }),
    );

  /** Indices of the shards that have been planned, ascending, from `from` on. */
  plannedShards = (from = 0): AsyncIterable<number> => this.#indices(ledgerKeys.shards, from);

  /** Indices of the shards that have a commit, ascending, from `from` on. */
  committedShards = (from = 0): AsyncIterable<number> => this.#indices(ledgerKeys.commits, from);

  /** All commits in shard order, from shard `from` on; a bounded number is read ahead. */
  async *commits(from = 0): AsyncIterable<Commit> {
    let ahead: Promise<Commit>[] = [];
    for await (const shard of this.committedShards(from)) {
      ahead.push(this.#read(ledgerKeys.commit(shard), commitDocument));
      if (ahead.length === READ_CONCURRENCY) {
        yield* await Promise.all(ahead);
        ahead = [];
      }
    }
    yield* await Promise.all(ahead);
  }

  async state(): Promise<RunState> {
    if ((await this.store.head(ledgerKeys.summary)) !== null) return 'done';
    if (await this.isCancelled()) return 'cancelled';
    if ((await this.findFailure()) !== null) return 'failed';
    return (await this.findPlan()) === null ? 'planning' : 'running';
  }

  async *#indices(prefix: string, from: number): AsyncIterable<number> {
    for await (const page of this.store.list(prefix, await this.#startOf(prefix, from))) {
      for (const { key } of page) {
        const shard = shardOfKey(key);
        if (shard !== null && shard >= from) yield shard;
      }
    }
  }

  /** Where a listing may begin: names of shards beyond the first million have more digits, and sort among the others. */
  async #startOf(prefix: string, from: number): Promise<ListOptions> {
    if (from === 0 || from > SIX_DIGITS_MAX) return {};
    if ((await this.store.head(ledgerKeys.shard(SIX_DIGITS_MAX + 1))) !== null) return {};
    return { startAfter: `${prefix}${shardName(from - 1)}.json` };
  }

  #create<S extends z.ZodType>(key: string, type: DocumentType<S>, value: z.input<S>): Promise<boolean> {
    return this.store.putIfAbsent(key, type.encode(value));
  }

  async #read<S extends z.ZodType>(key: string, type: DocumentType<S>): Promise<z.infer<S>> {
    return type.decode(await this.store.get(key), this.store.uriOf(key));
  }

  async #find<S extends z.ZodType>(key: string, type: DocumentType<S>): Promise<z.infer<S> | null> {
    try {
      return await this.#read(key, type);
    } catch (error) {
      if (error instanceof ImagemillError && error.code === 'OBJECT_NOT_FOUND') return null;
      throw error;
    }
  }
}
