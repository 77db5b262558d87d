import type { Run } from '../contract/run.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import { fencedStore, neverFirstStore, type Fence } from '../storage/fenced-store.ts';
import { RunLedger } from '../storage/run-ledger.ts';

const RUNS_KEPT = 16;
const CANCELLED_KEPT = 1_000;

/** Opens the ledgers of the runs a worker is busy with; `run.json` never changes, so it is read once. */
export class RunCache {
  readonly resolver: StoreResolver;
  readonly #entries = new Map<string, Promise<{ run: Run; ledger: RunLedger }>>();

  readonly #cancelled = new Set<string>();
  readonly #fence: Fence | undefined;

  /** @param fence for runs on stores without conditional put; only who commits needs one */
  constructor(resolver: StoreResolver, fence?: Fence) {
    this.resolver = resolver;
    this.#fence = fence;
  }

  /** @throws ImagemillError RUN_NOT_FOUND, CONTRACT_*, STORE_* */
  async open(out: string): Promise<{ run: Run; ledger: RunLedger }> {
    let entry = this.#entries.get(out);
    if (entry === undefined) {
      entry = this.#read(out);
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

  /** Whether the run has been cancelled. That is for ever, so of a run that was the store is not asked again. */
  async isCancelled(out: string): Promise<boolean> {
    if (this.#cancelled.has(out)) return true;
    const { ledger } = await this.open(out);
    if (!(await ledger.isCancelled())) return false;
    this.#cancelled.add(out);
    const oldest = this.#cancelled.values().next().value;
    if (this.#cancelled.size > CANCELLED_KEPT && oldest !== undefined) this.#cancelled.delete(oldest);
    return true;
  }

  async #read(out: string): Promise<{ run: Run; ledger: RunLedger }> {
    const ledger = new RunLedger(this.resolver.open(out));
    const run = await ledger.readRun();
    if (run.fencing === 'conditional-put') return { run, ledger };
    const { store } = ledger;
    const fenced = this.#fence === undefined ? neverFirstStore(store) : fencedStore(store, this.#fence);
    return { run, ledger: new RunLedger(fenced) };
  }
}
