import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { runIdSchema } from '../../contract/ids.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { SentEvent } from '../live/live-hub.ts';
import type { Services } from '../services.ts';
import { PROBLEMS } from './openapi.ts';

const WATCHERS_MAX = 1_000;
const HEARTBEAT_MS = 15_000;
/** A browser that does not read is let go; it comes back with the last id it has seen. */
const UNREAD_BYTES_MAX = 1_048_576;
const RETRY_MS = 2_000;

/** Server-sent events (WHATWG HTML, §9.2), with resume by `Last-Event-ID`. */
export function registerEventsRoute(app: FastifyInstance, { hub, catalogue }: Services): void {
  const open = new Set<FastifyReply>();
  app.addHook('preClose', async () => {
    for (const reply of open) reply.raw.end();
  });
  app.withTypeProvider<ZodTypeProvider>().get(
    '/events',
    {
      schema: {
        summary: 'What happens, as server-sent events',
        description: 'Each `data` is a LiveEvent. With `run` only those of one run.',
        querystring: z.strictObject({ run: runIdSchema.optional() }),
        headers: z.object({ 'last-event-id': z.string().max(100).optional() }),
        response: {
          200: {
            description: 'A stream that does not end.',
            content: { 'text/event-stream': { schema: z.string() } },
          },
          ...PROBLEMS,
        },
      },
    },
    (request, reply) => {
      if (hub.listeners >= WATCHERS_MAX) {
        throw new ImagemillError(
          'OVERLOADED',
          `expected at most ${WATCHERS_MAX} open event streams, got one more`,
        );
      }
      const { run } = request.query;
      const isWanted = (sent: SentEvent) => run === undefined || sent.run === null || sent.run === run;
      const write = (sent: SentEvent) => {
        if (!isWanted(sent)) return;
        if (reply.raw.writableLength > UNREAD_BYTES_MAX) reply.raw.destroy();
        else reply.raw.write(frame(sent));
      };
      reply.hijack();
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream',
        'x-accel-buffering': 'no',
      });
      reply.raw.write(`retry: ${RETRY_MS}\n\n`);
      const { missed, stop } = hub.listen(write, request.headers['last-event-id']);
      for (const sent of missed) write(sent);
      if (run !== undefined) catalogue.touch(run);
      const heartbeat = setInterval(() => reply.raw.write(':\n\n'), HEARTBEAT_MS);
      open.add(reply);
      reply.raw.once('close', () => {
        clearInterval(heartbeat);
        stop();
        open.delete(reply);
      });
    },
  );
}

function frame({ id, event }: SentEvent): string {
  return `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
