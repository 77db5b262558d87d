import type { ImagemillClient, WatchedEvent } from '../../src/client/index.ts';

/** Collects events until it is told to stop. */
export class Watcher {
  readonly seen: WatchedEvent[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(client: ImagemillClient, options: { run?: string; lastEventId?: string } = {}) {
    this.#done = (async () => {
      for await (const event of client.events({ ...options, signal: this.#stop.signal }))
        this.seen.push(event);
    })();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}
