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
    const keys: string[] = [];
    try {
      for await (const page of this.#store.list('runs/')) keys.push(...page.map(({ key }) => key));
    } catch (error) {
      // An index that nobody has written to yet is an empty one.
      if (error instanceof ImagemillError && error.code === 'STORE_NOT_FOUND') return [];
      throw error;
    }
    const entries = await Promise.all(
      keys
        .filter((key) => key.endsWith('.json'))
        .reverse()
        .map(async (key) => runIndexEntry.decode(await this.#store.get(key), this.#store.uriOf(key))),
    );
    return entries;
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
    try {
      const bytes = await this.#store.get(this.#key(reference));
      const entry = runIndexEntry.decode(bytes, this.#store.uriOf(this.#key(reference)));
      return new RunLedger(this.#resolver.open(entry.out));
    } catch (error) {
      if (!(error instanceof ImagemillError) || error.code !== 'OBJECT_NOT_FOUND') throw error;
      throw new ImagemillError(
        'RUN_NOT_FOUND',
        `expected a run id of the index at ${this.#store.rootUri} or a run's directory, got ${reference}`,
      );
    }
  }

  #key(run: string): string {
    return `runs/${run}.json`;
  }
}
