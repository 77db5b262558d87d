import type { LiveEvent } from '../contract/api/events.ts';
import { ApiProblem } from './api-problem.ts';
import { EventStreamParser } from './event-stream.ts';
import { pause, pauseAfter, type Transport } from './transport.ts';

/** The server says something every 15 s; a connection that is silent for longer than this is dead. */
const SILENCE_MAX_MS = 45_000;
/** Failures in succession after which pauses grow no longer. */
const FAILURES_COUNTED_MAX = 8;

export interface WatchOptions {
  /** Only what happens to one run. */
  readonly run?: string;
  /** To go on after an event that was seen before. */
  readonly lastEventId?: string;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
}

/** An event, with the id to go on after it. */
export type WatchedEvent = LiveEvent & { readonly id: string };

/**
 * What happens, for as long as somebody asks. A connection that breaks is made again, and goes on where it was; after
 * `reset` something may have been missed, and is to be asked for anew.
 * @throws ApiProblem where the dashboard refuses
 */
export async function* watchEvents(
  transport: Transport,
  { run, lastEventId, signal }: WatchOptions,
): AsyncGenerator<WatchedEvent, void, void> {
  const position = { id: lastEventId ?? '', retryMs: 0 };
  const isOver = () => signal?.aborted ?? false;
  for (let failures = 0; !isOver();) {
    try {
      for await (const event of connection(transport, run, position, signal)) {
        failures = 0;
        yield event;
      }
    } catch (error) {
      if (isOver()) return;
      if (error instanceof ApiProblem && !error.retryable) throw error;
    }
    failures = Math.min(FAILURES_COUNTED_MAX, failures + 1);
    await pause(Math.max(position.retryMs, pauseAfter(failures)), signal).catch(() => {});
  }
}

/** The events of one connection; keeps `position` up to date. */
async function* connection(
  transport: Transport,
  run: string | undefined,
  position: { id: string; retryMs: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<WatchedEvent, void, void> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
  const parser = new EventStreamParser(position.id);
  const decoder = new TextDecoder();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  try {
    const answer = await transport.send({
      path: '/events',
      query: { run },
      headers: position.id === '' ? {} : { 'last-event-id': position.id },
      repeatable: false,
      streams: true,
      signal: signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]),
    });
    reader = answer.body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      if (piece?.value === undefined) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
      for (const { lastEventId, data } of parser.push(decoder.decode(piece.value, { stream: true }))) {
        position.id = lastEventId;
        if (data !== null) yield { ...(JSON.parse(data) as LiveEvent), id: lastEventId };
      }
      position.retryMs = parser.retryMs ?? position.retryMs;
    }
  } finally {
    clearTimeout(timer);
    await reader?.cancel().catch(() => {});
  }
}
