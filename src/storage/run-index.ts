import { ImagemillError } from '../contract/errors.ts';
import { runIdSchema } from '../contract/ids.ts';
import { runIndexEntry, type RunIndexEntry } from '../contract/run.ts';
import { lookFirstStore } from './fenced-store.ts';
import type { ObjectStore, StoreResolver } from './object-store.ts';
import { RunLedger } from './run-ledger.ts';

/** Finds runs by id: a folder of small documents, one per run, each pointing to the run's ledger. */
export class RunIndex {
  readonly #store: ObjectStore;
  readonly #resolver: StoreResolver;

  /** @param home location of the index: IMAGEMILL_HOME */
  constructor(resolver: StoreResolver, home: string) {
    this.#resolver = resolver;
    this.#store = resolver.open(home);
  }

  async add(entry: RunIndexEntry): Promise<void> {
    // An entry says the same whoever writes it, so a store without conditional put will do.
    await lookFirstStore(this.#store).putIfAbsent(this.#key(entry.run), runIndexEntry.encode(entry));
  }

  /** Newest first. */
  async list(): Promise<RunIndexEntry[]> {
    const ids = await this.ids();
    return Promise.all(ids.reverse().map((id) => this.find(id)));
  }

  /** Ids of all runs, or of those after the given one, oldest first; what the entries say is not read. */
  async ids(after?: string): Promise<string[]> {
    const ids: string[] = [];
    const options = after === undefined ? {} : { startAfter: this.#key(after) };
    try {
      for await (const page of this.#store.list('runs/', options)) {
        for (const { key } of page) {
          const id = key.slice('runs/'.length, -'.json'.length);
          if (runIdSchema.safeParse(id).success) ids.push(id);
        }
      }
    } catch (error) {
      if (error instanceof ImagemillError && error.code === 'STORE_NOT_FOUND') return [];
      throw error;
    }
    return ids;
  }

  /** @throws ImagemillError RUN_NOT_FOUND */
  async find(run: string): Promise<RunIndexEntry> {
    try {
      return runIndexEntry.decode(await this.#store.get(this.#key(run)), this.#store.uriOf(this.#key(run)));
    } catch (error) {
      if (!(error instanceof ImagemillError) || error.code !== 'OBJECT_NOT_FOUND') throw error;
      throw new ImagemillError(
        'RUN_NOT_FOUND',
        `expected a run id of the index at ${this.#store.rootUri} or a run's directory, got ${run}`,
      );
    }
  }

  /**
   * @param reference a run id, or the run's directory
   * @throws ImagemillError RUN_NOT_FOUND
   */
  async open(reference: string): Promise<RunLedger> {
    if (!runIdSchema.safeParse(reference).success) {
      const ledger = new RunLedger(this.#resolver.open(reference));
      await ledger.readRun();
      return ledger;
    }
    const { out } = await this.find(reference);
    return new RunLedger(this.#resolver.open(out));
  }

  #key(run: string): string {
    return `runs/${run}.json`;
  }
}
