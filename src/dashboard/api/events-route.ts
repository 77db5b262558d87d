import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { runIdSchema } from '../../contract/ids.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { SentEvent } from '../live/live-hub.ts';
import type { Services } from '../services.ts';
import { eventStreamSchema, operation, PROBLEMS } from './openapi.ts';

/** Event streams that are open at a time. */
export const WATCHERS_MAX = 1_000;
const HEARTBEAT_MS = 15_000;
/** A browser that does not read is let go; it comes back with the last id it has seen. */
const UNREAD_BYTES_MAX = 1_048_576;
const RETRY_MS = 2_000;
const HEARTBEAT = ':\n\n';

/** Server-sent events (WHATWG HTML, §9.2), with resume by `Last-Event-ID`. */
export function registerEventsRoute(app: FastifyInstance, services: Services): void {
  const open = new Set<FastifyReply>();
  app.addHook('preClose', async () => {
    for (const reply of open) reply.raw.end();
  });
  app.withTypeProvider<ZodTypeProvider>().get(
    '/events',
    {
      // A HEAD would stay open, and listen, like a GET.
      exposeHeadRoute: false,
      schema: {
        ...operation('watchEvents', 'events', 'What happens, as server-sent events'),
        description:
          'Each `data` is a LiveEvent as JSON, and its `event` the type of it. With `run` only those of one run. A client that comes back with `last-event-id` is told what it missed, or `reset`.',
        querystring: z.strictObject({ run: runIdSchema.optional() }),
        headers: z.object({ 'last-event-id': z.string().max(100).optional() }),
        response: {
          200: {
            description: 'A stream that does not end.',
            content: { 'text/event-stream': { schema: eventStreamSchema } },
          },
          ...PROBLEMS,
        },
      },
    },
    (request, reply) => {
      if (services.hub.listeners >= WATCHERS_MAX) {
        throw new ImagemillError(
          'OVERLOADED',
          `expected at most ${WATCHERS_MAX} open event streams, got one more`,
        );
      }
      reply.hijack();
      // Gone before it was answered: its `close` has been, and would never come.
      if (reply.raw.destroyed) return;
      open.add(reply);
      reply.raw.once('close', () => open.delete(reply));
      stream(reply, services, request.query.run, request.headers['last-event-id']);
    },
  );
}

function stream(
  reply: FastifyReply,
  { hub, catalogue }: Services,
  run: string | undefined,
  lastEventId: string | undefined,
): void {
  const { raw } = reply;
  const isWanted = (sent: SentEvent) => run === undefined || sent.run === null || sent.run === run;
  const write = (text: string) => {
    if (raw.writableEnded || raw.destroyed) return;
    if (raw.writableLength > UNREAD_BYTES_MAX) raw.destroy();
    else raw.write(text);
  };
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream',
    'x-accel-buffering': 'no',
  });
  const { missed, stop } = hub.listen((sent) => {
    if (isWanted(sent)) write(frame(sent));
  }, lastEventId);
  const opening = missed.filter(isWanted).map(frame);
  const watched = run === undefined ? null : catalogue.known(run);
  // What happened between the answer that a page was made of and this request would not be told otherwise.
  if (watched !== null) {
    const event = { type: 'run', run: watched.overview() } as const;
    opening.push(frame({ id: hub.position, type: 'run', run: run ?? null, data: JSON.stringify(event) }));
  }
  // An id without data is noted and not dispatched: a stream that breaks before its first event is resumed too.
  raw.write(`retry: ${RETRY_MS}\n\n${opening.join('')}id: ${hub.position}\n\n`);
  if (run !== undefined) catalogue.touch(run);
  const heartbeat = setInterval(() => write(HEARTBEAT), HEARTBEAT_MS);
  raw.once('close', () => {
    clearInterval(heartbeat);
    stop();
  });
}

function frame({ id, type, data }: SentEvent): string {
  return `id: ${id}\nevent: ${type}\ndata: ${data}\n\n`;
}
