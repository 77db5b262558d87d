import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { VERSION } from '../../config/version.ts';
import { runLabelsSchema } from '../../contract/api/labels.ts';
import { problemSchema } from '../../contract/api/problem.ts';
import {
  actionSchema,
  errorsPageSchema,
  resultsPageSchema,
  runDetailSchema,
  runListSchema,
  runOverviewSchema,
  shardFactsSchema,
  shardMapSchema,
  submittedSchema,
} from '../../contract/api/runs.ts';
import { submitRunSchema } from '../../contract/api/submit.ts';
import { trainingSchema } from '../../contract/api/training.ts';

/** Schemas that the document names, so that generated clients have names for them too. */
const NAMED_SCHEMAS = {
  Problem: problemSchema,
  RunOverview: runOverviewSchema,
  RunList: runListSchema,
  RunDetail: runDetailSchema,
  SubmitRun: submitRunSchema,
  Submitted: submittedSchema,
  ActionAnswer: actionSchema,
  ShardMap: shardMapSchema,
  ShardFacts: shardFactsSchema,
  RunLabels: runLabelsSchema,
  ResultsPage: resultsPageSchema,
  ErrorsPage: errorsPageSchema,
  Training: trainingSchema,
} as const;

/** Answers that every route may give. */
export const PROBLEMS = {
  '4xx': {
    description: 'A problem (RFC 9457) with a code of the error catalogue.',
    content: { 'application/problem+json': { schema: problemSchema } },
  },
  '5xx': {
    description: 'Redis or the object store does not answer, or more is asked than the limits allow.',
    content: { 'application/problem+json': { schema: problemSchema } },
  },
} as const;

/** Serves the description of the API, made of the schemas that its routes check. */
export async function registerOpenapi(app: FastifyInstance): Promise<void> {
  for (const [id, schema] of Object.entries(NAMED_SCHEMAS)) {
    if (!z.globalRegistry.has(schema)) z.globalRegistry.add(schema, { id });
  }
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'imagemill',
        version: VERSION,
        description: 'Submits, watches and steers runs that label image collections or train AlexNet.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as { name: string },
      },
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'IMAGEMILL_TOKEN' } },
      },
      security: [{ bearer: [] }, {}],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
}
