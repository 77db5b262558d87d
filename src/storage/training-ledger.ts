import type { DocumentType } from '../contract/document.ts';
import { ImagemillError } from '../contract/errors.ts';
import {
  epochCommitDocument,
  stepCommitDocument,
  trainSummaryDocument,
  type EpochCommit,
  type StepCommit,
  type TrainSummary,
} from '../contract/training.ts';
import { ledgerKeys } from './ledger-keys.ts';
import type { ObjectStore } from './object-store.ts';
import type { z } from 'zod';

const STEP_KEY = /^steps\/(\d{6,8})-(\d{8})\.json$/;
const EPOCH_KEY = /^epochs\/(\d{6,8})\.json$/;
const READ_CONCURRENCY = 32;

/** The part of a training run's ledger that other runs do not have. */
export class TrainingLedger {
  readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  findEpoch = (epoch: number): Promise<EpochCommit | null> =>
    this.#find(ledgerKeys.epoch(epoch), epochCommitDocument);

  /** Of the last epoch that is done; null before. */
  async newestEpoch(): Promise<EpochCommit | null> {
    const newest = (await this.#keys(ledgerKeys.epochs, EPOCH_KEY)).at(-1);
    return newest === undefined ? null : this.#read(newest, epochCommitDocument);
  }

  /** @returns the commit that stands: ours, or an earlier one; tokens tell which */
  commitEpoch = (commit: EpochCommit): Promise<EpochCommit> =>
    this.#commit(ledgerKeys.epoch(commit.epoch), epochCommitDocument, commit);

  /** Of all epochs, ascending. */
  async epochs(): Promise<EpochCommit[]> {
    const keys = await this.#keys(ledgerKeys.epochs, EPOCH_KEY);
    const commits: EpochCommit[] = [];
    for (let start = 0; start < keys.length; start += READ_CONCURRENCY) {
      const chunk = keys.slice(start, start + READ_CONCURRENCY);
      commits.push(...(await Promise.all(chunk.map((key) => this.#read(key, epochCommitDocument)))));
    }
    return commits.sort((a, b) => a.epoch - b.epoch);
  }

  /** @returns the commit that stands, as for {@link commitEpoch} */
  commitStep = (commit: StepCommit): Promise<StepCommit> =>
    this.#commit(ledgerKeys.step(commit.epoch, commit.step), stepCommitDocument, commit);

  /**
   * Checkpoints within an epoch, ascending.
   * @param after only those of later steps than this one
   */
  async steps(epoch: number, after = 0): Promise<StepCommit[]> {
    const prefix = ledgerKeys.step(epoch, 0).replace(/\d{8}\.json$/, '');
    const keys = await this.#keys(prefix, STEP_KEY, ledgerKeys.step(epoch, after));
    const commits: StepCommit[] = [];
    for (let start = 0; start < keys.length; start += READ_CONCURRENCY) {
      const chunk = keys.slice(start, start + READ_CONCURRENCY);
      commits.push(...(await Promise.all(chunk.map((key) => this.#read(key, stepCommitDocument)))));
    }
    return commits.sort((a, b) => a.step - b.step);
  }

  findSummary = (): Promise<TrainSummary | null> => this.#find(ledgerKeys.summary, trainSummaryDocument);
  createSummary = (summary: TrainSummary): Promise<boolean> =>
    this.store.putIfAbsent(ledgerKeys.summary, trainSummaryDocument.encode(summary));

  async #keys(prefix: string, pattern: RegExp, startAfter?: string): Promise<string[]> {
    const keys: string[] = [];
    const options = startAfter === undefined ? {} : { startAfter };
    for await (const page of this.store.list(prefix, options)) {
      for (const { key } of page) if (pattern.test(key)) keys.push(key);
    }
    return keys;
  }

  async #commit<S extends z.ZodType>(
    key: string,
    type: DocumentType<S>,
    value: z.input<S> & z.infer<S>,
  ): Promise<z.infer<S>> {
    if (await this.store.putIfAbsent(key, type.encode(value))) return value;
    return this.#read(key, type);
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
