import type { Dirent } from 'node:fs';
import { opendir } from 'node:fs/promises';

/** Entries fetched from the kernel at a time. */
const BATCH_ENTRIES = 1024;
/** Names sorted at a time: some 20 ms of the event loop. */
const RUN_NAMES = 16_384;

/**
 * Entries of a folder in the kernel's order, in batches. Names come as Latin-1, that is one code unit per byte,
 * so that they sort by bytes and names that are not UTF-8 survive.
 * @throws the system's error
 */
export async function* folderEntries(path: string | Buffer): AsyncGenerator<Dirent[]> {
  const directory = await opendir(path, { encoding: 'latin1', bufferSize: BATCH_ENTRIES });
  try {
    for (;;) {
      const batch: Dirent[] = [];
      let entry = await directory.read();
      // After one asynchronous read the rest of its batch is in memory, where an await per entry would only cost time.
      while (entry !== null && batch.push(entry) < BATCH_ENTRIES) entry = directory.readSync();
      if (batch.length > 0) yield batch;
      if (entry === null) return;
    }
  } finally {
    await directory.close();
  }
}

/** The `size` smallest of all names added, in memory for at most twice as many. */
export class SmallestNames {
  readonly #size: number;
  readonly #sorted: string[] = [];
  #run: string[] = [];
  /** No name from here on is kept; undefined while none was dropped. */
  #limit: string | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  /** Whether a name dropped or refused is missing from the result. */
  get truncated(): boolean {
    return this.#limit !== undefined;
  }

  /** Whether `add` would keep this name for now. */
  accepts(name: string): boolean {
    return this.#limit === undefined || name < this.#limit;
  }

  add(name: string): void {
    if (!this.accepts(name)) return;
    if (this.#run.push(name) < RUN_NAMES) return;
    this.#closeRun();
    if (this.#sorted.length >= 2 * this.#size) this.#merge();
  }

  /** Sorted; nothing may be added afterwards. */
  finish(): readonly string[] {
    this.#closeRun();
    this.#merge();
    return this.#sorted;
  }

  #closeRun(): void {
    for (const name of this.#run.sort()) this.#sorted.push(name);
    this.#run = [];
  }

  /** Sorting sorted runs is a merge, which takes a third of the time. */
  #merge(): void {
    this.#sorted.sort();
    if (this.#sorted.length <= this.#size) return;
    this.#sorted.length = this.#size;
    this.#limit = this.#sorted.at(-1);
  }
}
