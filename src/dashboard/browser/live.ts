import type { LiveEvent } from '../../contract/api/events.ts';

type EventOf<T extends LiveEvent['type']> = Extract<LiveEvent, { type: T }>;

/** One event stream per page; the browser reconnects by itself, with the id of the last event it has seen. */
export class LiveStream {
  readonly #source: EventSource;

  /** @param run id of the only run that counts; undefined: all */
  constructor(run?: string) {
    this.#source = new EventSource(`/api/v1/events${run === undefined ? '' : `?run=${run}`}`);
    const badge = document.querySelector<HTMLElement>('[data-live]');
    if (badge === null) return;
    badge.hidden = false;
    const show = (text: string, isLive: boolean) => {
      badge.textContent = text;
      badge.classList.toggle('on', isLive);
    };
    show('connecting', false);
    this.#source.addEventListener('open', () => show('live', true));
    this.#source.addEventListener('error', () => show('reconnecting', false));
  }

  on<T extends LiveEvent['type']>(type: T, listener: (event: EventOf<T>) => void): void {
    this.#source.addEventListener(type, (message: MessageEvent<string>) => {
      listener(JSON.parse(message.data) as EventOf<T>);
    });
  }
}

/** Calls `work` soon, and at most once per interval, however often it is asked to. */
export function throttled(intervalMs: number, work: () => void): () => void {
  let timer: number | null = null;
  let doneAtMs = -Infinity;
  return () => {
    if (timer !== null) return;
    const waitMs = Math.max(0, doneAtMs + intervalMs - performance.now());
    timer = window.setTimeout(() => {
      timer = null;
      doneAtMs = performance.now();
      work();
    }, waitMs);
  };
}
