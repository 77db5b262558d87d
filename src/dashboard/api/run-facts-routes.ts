import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { runLabelsSchema } from '../../contract/api/labels.ts';
import { shardFactsSchema } from '../../contract/api/runs.ts';
import { shardIndexSchema } from '../../contract/ids.ts';
import { shardFacts } from '../runs/run-detail.ts';
import { runLabels } from '../runs/run-labels.ts';
import type { Services } from '../services.ts';
import { answer, operation, PROBLEMS } from './openapi.ts';
import { runParams } from './runs-routes.ts';

const noQuery = z.strictObject({});
/** Digits alone: `1e3` and an empty text are numbers to JavaScript. */
const shardParam = z
  .string()
  .regex(/^\d{1,8}$/, 'expected the number of a shard')
  .transform(Number)
  .pipe(shardIndexSchema);

/** What a page of a run asks for beside the run itself. */
export function registerRunFactRoutes(app: FastifyInstance, { catalogue }: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.get(
    '/runs/:run/labels',
    {
      schema: {
        ...operation(
          'getLabels',
          'results',
          'How often each class, how confident, and the least confident images',
        ),
        params: runParams,
        querystring: noQuery,
        response: { 200: answer('Of the labels that are committed.', runLabelsSchema), ...PROBLEMS },
      },
    },
    async (request) => runLabels(await catalogue.get(request.params.run)),
  );
  routes.get(
    '/runs/:run/shards/:shard',
    {
      schema: {
        ...operation('getShard', 'runs', 'What is known of one shard'),
        params: runParams.extend({ shard: shardParam }),
        querystring: noQuery,
        response: { 200: answer('The shard.', shardFactsSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const { run, shard } = request.params;
      return shardFacts(await catalogue.get(run), shard);
    },
  );
}
