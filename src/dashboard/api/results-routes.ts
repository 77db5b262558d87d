import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { errorsPageSchema, resultsPageSchema, rowsQuerySchema } from '../../contract/api/runs.ts';
import { trainingSchema } from '../../contract/api/training.ts';
import { PART_FORMATS, type PartFormat } from '../../contract/rows.ts';
import { errorBytes, resultBytes } from '../../pipeline/run-results.ts';
import { resultLedgers } from '../../storage/generations.ts';
import { requireKind } from '../catalogue/run-catalogue.ts';
import { withinBudget } from '../runs/within-budget.ts';
import { errorsPage, resultsPage } from '../runs/rows-page.ts';
import { readTraining } from '../runs/training.ts';
import type { Services } from '../services.ts';
import { answer, operation, PROBLEMS } from './openapi.ts';
import { runParams } from './runs-routes.ts';

const CONTENT_TYPES: Record<PartFormat, string> = {
  parquet: 'application/vnd.apache.parquet',
  jsonl: 'application/jsonl',
  csv: 'text/csv; charset=utf-8',
};
const noQuery = z.strictObject({});
const LABELLING = ['classify', 'evaluate'] as const;
const READING_IMAGES = [...LABELLING, 'prepare'] as const;

/** What runs have brought forth: rows, errors, curves; page by page, or as a file. */
export function registerResultRoutes(app: FastifyInstance, services: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const { catalogue, resolver, parts } = services;
  routes.get(
    '/runs/:run/results',
    {
      schema: {
        ...operation('listResults', 'results', 'Committed rows of a run that labels images'),
        params: runParams,
        querystring: rowsQuerySchema,
        response: { 200: answer('A page of rows.', resultsPageSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const watched = await catalogue.get(request.params.run);
      requireKind(watched, LABELLING);
      await withinBudget(watched.refreshWhole());
      return resultsPage(
        await watched.document(),
        watched.ledger,
        resolver,
        request.query,
        watched.knownCommits,
        parts,
      );
    },
  );
  routes.get(
    '/runs/:run/errors',
    {
      schema: {
        ...operation('listErrors', 'results', 'Items that could not be labelled'),
        params: runParams,
        querystring: rowsQuerySchema,
        response: { 200: answer('A page of rows.', errorsPageSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const watched = await catalogue.get(request.params.run);
      requireKind(watched, READING_IMAGES);
      const document = await watched.document();
      await withinBudget(watched.refreshWhole());
      return errorsPage(document, watched.ledger, resolver, request.query, watched.knownCommits);
    },
  );
  routes.get(
    '/runs/:run/training',
    {
      schema: {
        ...operation('getTraining', 'results', 'Epochs and steps of a training run'),
        params: runParams,
        querystring: noQuery,
        response: { 200: answer('Curves and epochs.', trainingSchema), ...PROBLEMS },
      },
    },
    async (request) => {
      const watched = await catalogue.get(request.params.run);
      requireKind(watched, ['train']);
      return readTraining(watched);
    },
  );
  registerDownloads(app, services);
}

function registerDownloads(app: FastifyInstance, { catalogue, resolver }: Services): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const file = (operationId: string, summary: string, types: readonly string[]) => ({
    ...operation(operationId, 'results', summary),
    querystring: noQuery,
    response: {
      200: {
        description: 'The file, streamed.',
        content: Object.fromEntries(types.map((type) => [type, { schema: z.any() }])),
      },
      ...PROBLEMS,
    },
  });
  routes.get(
    '/runs/:run/download/results.:format',
    {
      schema: {
        ...file('downloadResults', 'All committed rows as one file', Object.values(CONTENT_TYPES)),
        params: runParams.extend({ format: z.enum(PART_FORMATS) }),
      },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const { run: id, format } = request.params;
      const watched = await catalogue.get(id);
      requireKind(watched, LABELLING);
      const ledgers = await resultLedgers(watched.ledger, resolver);
      const bytes = resultBytes(ledgers, await watched.document(), format);
      return reply
        .type(CONTENT_TYPES[format])
        .header('content-disposition', `attachment; filename="${id}.${format}"`)
        .send(Readable.from(bytes));
    },
  );
  routes.get(
    '/runs/:run/download/errors.jsonl',
    {
      schema: {
        ...file('downloadErrors', 'All error rows as one file', [CONTENT_TYPES.jsonl]),
        params: runParams,
      },
      // A HEAD would read the whole file to throw it away.
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const watched = await catalogue.get(request.params.run);
      requireKind(watched, READING_IMAGES);
      const ledgers = await resultLedgers(watched.ledger, resolver);
      const bytes = errorBytes(ledgers, await watched.document());
      return reply
        .type(CONTENT_TYPES.jsonl)
        .header('content-disposition', `attachment; filename="${request.params.run}-errors.jsonl"`)
        .send(Readable.from(bytes));
    },
  );
}
