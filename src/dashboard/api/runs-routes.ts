import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import {
  actionSchema,
  listRunsQuerySchema,
  retryRequestSchema,
  runDetailSchema,
  runListSchema,
  shardMapSchema,
  submittedSchema,
} from '../../contract/api/runs.ts';
import { submitRunSchema } from '../../contract/api/submit.ts';
import { runIdSchema } from '../../contract/ids.ts';
import { cancel, resume, retryFailed } from '../runs/act-on-run.ts';
import { runDetail, shardMap } from '../runs/run-detail.ts';
import { submitRun } from '../runs/submit-run.ts';
import type { Services } from '../services.ts';
import { answer, operation, PROBLEMS } from './openapi.ts';

export const runParams = z.strictObject({ run: runIdSchema });
const noQuery = z.strictObject({});

/** Lists, submits, shows and steers runs. */
export function registerRunRoutes(app: FastifyInstance, services: Services): void {
  registerSubmission(app, services);
  registerReading(app, services);
  registerActions(app, services);
}

function registerSubmission(app: FastifyInstance, services: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const { idempotency } = services;

  routes.post(
    '/runs',
    {
      schema: {
        ...operation('submitRun', 'runs', 'Submits a run and puts it on the queue'),
        description:
          'The same request at the same `out` is the same run. With the header `idempotency-key` a request counts once for a day, also with `fresh`.',
        querystring: noQuery,
        headers: z.object({ 'idempotency-key': z.string().max(255).optional() }),
        body: submitRunSchema,
        response: {
          200: answer('The very same run was there already.', submittedSchema),
          201: answer('The run was created; `location` says where it is.', submittedSchema),
          ...PROBLEMS,
        },
      },
    },
    async (request, reply) => {
      const submittedBy = request.identity?.name ?? 'unknown';
      const answer = await idempotency.once(request.headers['idempotency-key'], request.body, (identity) =>
        submitRun(request.body, services, { submittedBy, identity }),
      );
      request.log.info({ run: answer.run, by: submittedBy, created: answer.created }, 'run submitted');
      return reply
        .code(answer.created ? 201 : 200)
        .header('location', `/api/v1/runs/${answer.run}`)
        .send(answer);
    },
  );
}

function registerReading(app: FastifyInstance, { catalogue }: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.get(
    '/runs',
    {
      schema: {
        ...operation('listRuns', 'runs', 'Runs, newest first'),
        querystring: listRunsQuerySchema,
        response: { 200: answer('A page of runs.', runListSchema), ...PROBLEMS },
      },
    },
    (request) => catalogue.list(request.query),
  );
  routes.get(
    '/runs/:run',
    {
      schema: {
        ...operation(
          'getRun',
          'runs',
          'A run: its document, progress and failure, and what may be done to it',
        ),
        params: runParams,
        querystring: noQuery,
        response: { 200: answer('The run.', runDetailSchema), ...PROBLEMS },
      },
    },
    async (request) => runDetail(await catalogue.get(request.params.run)),
  );
  routes.get(
    '/runs/:run/shards',
    {
      schema: {
        ...operation('getShardMap', 'runs', 'One character per shard'),
        params: runParams,
        querystring: noQuery,
        response: { 200: answer('The map.', shardMapSchema), ...PROBLEMS },
      },
    },
    async (request) => shardMap(await catalogue.get(request.params.run)),
  );
}

const action = (operationId: string, summary: string) => ({
  ...operation(operationId, 'actions', summary),
  params: runParams,
  querystring: noQuery,
  response: { 200: answer('What the action came to.', actionSchema), ...PROBLEMS },
});

function registerActions(app: FastifyInstance, services: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const { catalogue } = services;
  const emptyBody = z.strictObject({}).nullish();
  routes.post(
    '/runs/:run/cancel',
    {
      schema: {
        ...action('cancelRun', 'Stops a run within a batch; what is committed stays'),
        body: emptyBody,
      },
    },
    async (request) => {
      request.log.info({ run: request.params.run, by: request.identity?.name }, 'cancel');
      return cancel(await catalogue.get(request.params.run), services);
    },
  );
  routes.post(
    '/runs/:run/resume',
    { schema: { ...action('resumeRun', 'Puts a run on the queue again from its ledger'), body: emptyBody } },
    async (request) => {
      request.log.info({ run: request.params.run, by: request.identity?.name }, 'resume');
      return resume(await catalogue.get(request.params.run), services);
    },
  );
  routes.post(
    '/runs/:run/retry',
    {
      schema: {
        ...action(
          'retryRun',
          'Puts shards without a result on the queue again, or labels items with errors again',
        ),
        body: retryRequestSchema.nullish(),
      },
    },
    async (request) => {
      const { failed = false, priority } = request.body ?? {};
      const submittedBy = request.identity?.name;
      request.log.info({ run: request.params.run, by: submittedBy, failed }, 'retry');
      const watched = await catalogue.get(request.params.run);
      return failed
        ? retryFailed(watched, services, { submittedBy, priority })
        : resume(watched, services, priority);
    },
  );
}
