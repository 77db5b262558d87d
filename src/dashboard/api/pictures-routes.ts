import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import { EPOCHS_MAX } from '../../contract/recipe.ts';
import { ledgerKeys } from '../../storage/ledger-keys.ts';
import { requireKind } from '../catalogue/run-catalogue.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';
import type { Picture } from '../pictures/protocol.ts';
import type { Services } from '../services.ts';
import { operation, PROBLEMS } from './openapi.ts';
import { runParams } from './runs-routes.ts';

const GENERATION_MAX = 9_999;
const STEP_MAX = 1_000_000_000;
/** What never changes, in the browser of who asked alone: images may not be for everyone. */
const FOR_A_DAY = 'private, max-age=86400, immutable';
/** The next epoch has other filters. */
const FOR_A_WHILE = 'private, max-age=10';
const noQuery = z.strictObject({});

/** Digits alone: `1e3` and an empty text are numbers to JavaScript. */
const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().int().min(least).max(most));
const indexParam = whole(0, 99_999_999);

const picture = (operationId: string, summary: string, type: Picture['contentType'] = 'image/png') => ({
  ...operation(operationId, 'pictures', summary),
  querystring: noQuery,
  response: {
    200: { description: 'The picture.', content: { [type]: { schema: z.any() } } },
    ...PROBLEMS,
  },
});

/** Pictures of what runs read and learned; an image that cannot be shown is a problem with its code. */
export function registerPictureRoutes(app: FastifyInstance, services: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const { catalogue, pictures } = services;
  routes.get(
    '/runs/:run/pictures/thumbnail/:generation/:shard/:index',
    {
      schema: {
        ...picture('getThumbnail', 'An image of the run, 160 pixels at most', 'image/webp'),
        params: runParams.extend({
          generation: whole(0, GENERATION_MAX),
          shard: indexParam,
          index: indexParam,
        }),
      },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const { run, generation, shard, index } = request.params;
      const out = await directoryOf(await catalogue.get(run), generation);
      const signal = untilGone(reply);
      return send(reply, await pictures.thumbnail(out, shard, index, undefined, signal), FOR_A_DAY);
    },
  );
  routes.get(
    '/runs/:run/pictures/filters',
    {
      schema: { ...picture('getFilters', "The first layer's filters of a training run"), params: runParams },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const watched = await catalogue.get(request.params.run);
      requireKind(watched, ['train']);
      return send(reply, await pictures.filters(watched.ledger.out, untilGone(reply)), FOR_A_WHILE);
    },
  );
  routes.get(
    '/runs/:run/pictures/minibatch/:epoch/:step',
    {
      schema: {
        ...picture('getMinibatch', 'The images of a training step as the network saw them'),
        params: runParams.extend({ epoch: whole(1, EPOCHS_MAX), step: whole(0, STEP_MAX) }),
      },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const { run, epoch, step } = request.params;
      const watched = await catalogue.get(run);
      requireKind(watched, ['train']);
      const signal = untilGone(reply);
      return send(reply, await pictures.minibatch(watched.ledger.out, epoch, step, signal), FOR_A_DAY);
    },
  );
  registerConfusion(app, services);
}

function registerConfusion(app: FastifyInstance, { catalogue }: Services): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    '/runs/:run/pictures/confusion',
    {
      schema: { ...picture('getConfusion', 'The confusion matrix of an evaluation'), params: runParams },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const watched = await catalogue.get(request.params.run);
      requireKind(watched, ['evaluate']);
      const bytes = await watched.ledger.store.get(ledgerKeys.confusion);
      return send(reply, { bytes, contentType: 'image/png' }, FOR_A_DAY);
    },
  );
}

/** @throws ImagemillError PAGE_NOT_FOUND where the run has no such generation */
async function directoryOf({ ledger, entry }: WatchedRun, generation: number): Promise<string> {
  if (generation === 0) return ledger.out;
  const found = await ledger.findGeneration(generation);
  if (found === null) {
    throw new ImagemillError(
      'PAGE_NOT_FOUND',
      `${entry.run}: expected a complete generation, got ${generation}`,
    );
  }
  return ledger.store.uriOf(found.directory.slice(0, -1));
}

function send(reply: FastifyReply, { bytes, contentType }: Picture, cacheControl: string): FastifyReply {
  return reply.type(contentType).header('cache-control', cacheControl).send(Buffer.from(bytes));
}

/** A picture that nobody waits for need not be made. */
function untilGone({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (raw.writableFinished) return;
    controller.abort(new ImagemillError('REQUEST_INVALID', 'expected a reader, got a closed connection'));
  });
  return controller.signal;
}
