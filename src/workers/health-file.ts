import { rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImagemillError } from '../contract/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

const TOUCH_EVERY_MS = 5_000;

/**
 * A file whose age says whether a worker is well: it is written every 5 s, as long as the event loop runs and the queue
 * answers. A worker that waits for work and one that hangs look the same to everything else outside of it.
 */
export class HealthFile {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #everyMs: number;
  readonly #removed = new AbortController();
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, logger: Logger, everyMs: number) {
    this.#path = path;
    this.#logger = logger;
    this.#everyMs = everyMs;
  }

  /**
   * Writes the file for the first time.
   * @param everyMs how long to wait from one writing to the next
   * @throws ImagemillError USAGE where it cannot be written
   */
  static async create(path: string, logger: Logger, everyMs = TOUCH_EVERY_MS): Promise<HealthFile> {
    const file = new HealthFile(path, logger, everyMs);
    try {
      await file.#write();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new ImagemillError(
        'USAGE',
        `--health-file: expected a file that can be written, got ${path} (${code})`,
      );
    }
    return file;
  }

  /**
   * Keeps the file young until it is removed.
   * @param answers resolves once the queue has answered, however long that takes: meanwhile the file grows old
   */
  async keep(answers: () => Promise<void>): Promise<void> {
    const { signal } = this.#removed;
    while (!signal.aborted) {
      try {
        await answers();
        if (!signal.aborted) await this.#write();
      } catch (error) {
        if (!signal.aborted) this.#logger.warn({ err: error }, 'the health file is not written');
      }
      await sleep(this.#everyMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  async remove(): Promise<void> {
    this.#removed.abort();
    // What is being written now would bring it back.
    await this.#written.catch(() => {});
    await rm(this.#path, { force: true });
  }

  #write(): Promise<void> {
    this.#written = writeFile(this.#path, `${new Date().toISOString()}\n`);
    return this.#written;
  }
}
