import type { Run } from '../contract/run.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import { RunLedger } from '../storage/run-ledger.ts';

const RUNS_KEPT = 16;

/** Opens the ledgers of the runs a worker is busy with; `run.json` never changes, so it is read once. */
export class RunCache {
  readonly resolver: StoreResolver;
  readonly #entries = new Map<string, Promise<{ run: Run; ledger: RunLedger }>>();

  constructor(resolver: StoreResolver) {
    this.resolver = resolver;
  }

  /** @throws ImagemillError RUN_NOT_FOUND, CONTRACT_*, STORE_* */
  async open(out: string): Promise<{ run: Run; ledger: RunLedger }> {
    let entry = this.#entries.get(out);
    if (entry === undefined) {
      const ledger = new RunLedger(this.resolver.open(out));
      entry = ledger.readRun().then((run) => ({ run, ledger }));
      this.#entries.set(out, entry);
      const oldest = this.#entries.keys().next().value;
      if (this.#entries.size > RUNS_KEPT && oldest !== undefined) this.#entries.delete(oldest);
    }
    try {
      return await entry;
    } catch (error) {
      this.#entries.delete(out);
      throw error;
    }
  }
}
