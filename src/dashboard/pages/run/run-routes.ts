import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { rowsQuerySchema, type ActionAnswer } from '../../../contract/api/runs.ts';
import { runIdSchema } from '../../../contract/ids.ts';
import { EPOCHS_MAX } from '../../../contract/recipe.ts';
import { mayActAs } from '../../access/access-policy.ts';
import type { WatchedRun } from '../../catalogue/watched-run.ts';
import { cancel, resume, retryFailed } from '../../runs/act-on-run.ts';
import type { Services } from '../../services.ts';
import type { PageRenderer } from '../render.ts';
import { NOTICES, shortName, type Notice } from './heading.ts';
import { readPageData, ViewReader } from './page-data.ts';
import { runPage } from './run-page.ts';

const STEP_MAX = 1_000_000_000;
const params = z.strictObject({ run: runIdSchema });
const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most).optional();
const query = z.strictObject({
  notice: z.enum(Object.keys(NOTICES) as [Notice, ...Notice[]]).optional(),
  enqueued: runIdSchema.optional(),
  errors: rowsQuerySchema.shape.cursor,
  epoch: whole(1, EPOCHS_MAX),
  step: whole(0, STEP_MAX),
});

/** The page of a run, and the forms on it. */
export function registerRunPages(app: FastifyInstance, services: Services, pages: PageRenderer): void {
  const views = new ViewReader();
  app
    .withTypeProvider<ZodTypeProvider>()
    .get('/runs/:run', { schema: { hide: true, params, querystring: query } }, async (request, reply) => {
      const watched = await services.catalogue.get(request.params.run);
      const { notice, enqueued, errors, epoch, step } = request.query;
      const data = await readPageData(watched, { errors }, services, views);
      const body = runPage(data, {
        mayOperate: request.identity !== null && mayActAs(request.identity, 'operator'),
        notice: notice === undefined ? null : { notice, enqueued },
        errorsCursor: errors,
        minibatch: epoch === undefined ? null : { epoch, step: step ?? 0 },
      });
      const isTraining = watched.entry.kind === 'train';
      return pages.send(request, reply, {
        title: shortName(data.detail.overview),
        section: 'runs',
        scripts: isTraining ? ['run', 'train'] : ['run', 'shard-map'],
        styles: isTraining ? ['run', 'vendor/uplot'] : ['run'],
        body,
      });
    });
  registerForms(app, services);
}

function registerForms(app: FastifyInstance, services: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const form = (
    action: string,
    act: (watched: WatchedRun) => Promise<{ notice: Notice; enqueued?: string | undefined }>,
  ) =>
    routes.post(`/runs/:run/${action}`, { schema: { hide: true, params } }, async (request, reply) => {
      const { run } = request.params;
      request.log.info({ run, by: request.identity?.name }, action);
      return backTo(run, await act(await services.catalogue.get(run)), reply);
    });
  form('cancel', async (watched) => {
    await cancel(watched, services);
    return { notice: watched.state === 'done' ? 'done-already' : 'cancelled' };
  });
  form('resume', async (watched) => queued(await resume(watched, services), 'queued', 'done-already'));
  form('retry-failed', async (watched) =>
    queued(await retryFailed(watched, services), 'retrying', 'nothing-left'),
  );
}

function queued({ run, enqueued }: ActionAnswer, done: Notice, nothing: Notice) {
  if (enqueued === null) return { notice: nothing };
  return { notice: done, enqueued: enqueued === run ? undefined : enqueued };
}

/** A form answers with an address, so that reloading the page does not send it again. */
function backTo(
  run: string,
  { notice, enqueued }: { notice: Notice; enqueued?: string | undefined },
  reply: FastifyReply,
): FastifyReply {
  const parameters = new URLSearchParams({ notice, ...(enqueued === undefined ? {} : { enqueued }) });
  return reply.redirect(`/runs/${run}?${parameters.toString()}`, 303);
}
