import { randomBytes } from 'node:crypto';
import type { LiveEvent } from '../../contract/api/events.ts';

/** Events kept for browsers that come back. */
const KEPT_MAX = 2_000;
const FLUSH_INTERVAL_MS = 500;
/** Of one flush: what is over waits for the next, so that a thousand live runs do not flood anyone. */
const EVENTS_PER_FLUSH = 200;
const EVENT_ID = /^([0-9a-z]+)-(\d{1,15})$/;

export interface SentEvent {
  readonly id: string;
  readonly type: LiveEvent['type'];
  /** The run it is about; null: everyone's. */
  readonly run: string | null;
  /** The event as JSON, made once for however many listeners. */
  readonly data: string;
}

export type Listener = (event: SentEvent) => void;

/**
 * Hands events to any number of listeners. Events of the same run and type are merged until the next flush: only the
 * newest counts, since each carries a whole state.
 */
export class LiveHub {
  /** Part of every id, so that a client of an earlier process is not taken for one of this. */
  readonly #boot: string;
  readonly #listeners = new Set<Listener>();
  readonly #waiting = new Map<string, () => LiveEvent>();
  readonly #kept: SentEvent[] = [];
  #sequence = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param boot lower-case letters and digits; no two processes may have the same */
  constructor(boot = randomBytes(6).toString('hex')) {
    this.#boot = boot;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Id of the newest event: whoever has seen it has missed nothing. */
  get position(): string {
    return `${this.#boot}-${this.#sequence}`;
  }

  /**
   * Sends an event with the next flush.
   * @param key events of the same key replace each other until then
   * @param make is asked for the event at that time
   */
  publish(key: string, make: () => LiveEvent): void {
    this.#waiting.set(key, make);
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_INTERVAL_MS).unref();
  }

  /** Sends what waits. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    let sent = 0;
    for (const [key, make] of this.#waiting) {
      if (sent === EVENTS_PER_FLUSH) break;
      this.#waiting.delete(key);
      this.#send(make());
      sent += 1;
    }
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => this.flush(), FLUSH_INTERVAL_MS).unref();
  }

  #send(event: LiveEvent): void {
    this.#sequence += 1;
    const sent = this.#sentEvent(event);
    this.#kept.push(sent);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift();
    for (const listener of this.#listeners) listener(sent);
  }

  #sentEvent(event: LiveEvent): SentEvent {
    return { id: this.position, type: event.type, run: runOf(event), data: JSON.stringify(event) };
  }

  /**
   * Listens from now on, or from the event after the last one that was seen.
   * @param lastEventId of a client that comes back
   * @returns what it missed, merged (one `reset` where that is not kept any more), and how to stop
   */
  listen(
    listener: Listener,
    lastEventId?: string,
  ): { readonly missed: readonly SentEvent[]; readonly stop: () => void } {
    this.#listeners.add(listener);
    return {
      missed: lastEventId === undefined ? [] : this.#since(lastEventId),
      stop: () => void this.#listeners.delete(listener),
    };
  }

  #since(lastEventId: string): SentEvent[] {
    const [, boot, text] = EVENT_ID.exec(lastEventId) ?? [];
    const sequence = Number(text);
    const oldest = this.#sequence - this.#kept.length;
    if (boot === this.#boot && sequence >= oldest && sequence <= this.#sequence) {
      return merged(this.#kept.slice(sequence - oldest));
    }
    return [this.#sentEvent({ type: 'reset' })];
  }
}

/** Of the events of a run and type only the newest, in the order in which these were sent. */
function merged(events: readonly SentEvent[]): SentEvent[] {
  const newest = new Map<string, SentEvent>();
  for (const event of events) {
    const key = `${event.type}:${event.run}`;
    newest.delete(key);
    newest.set(key, event);
  }
  return [...newest.values()];
}

function runOf(event: LiveEvent): string | null {
  if (event.type === 'reset') return null;
  return event.type === 'run' ? event.run.run : event.run;
}
