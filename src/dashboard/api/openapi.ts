import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { VERSION } from '../../config/version.ts';
import { runLabelsSchema } from '../../contract/api/labels.ts';
import { liveEventSchema } from '../../contract/api/events.ts';
import { problemSchema } from '../../contract/api/problem.ts';
import {
  actionSchema,
  errorsPageSchema,
  resultsPageSchema,
  retryRequestSchema,
  runDetailSchema,
  runListSchema,
  runOverviewSchema,
  shardFactsSchema,
  shardMapSchema,
  submittedSchema,
} from '../../contract/api/runs.ts';
import {
  submitClassifySchema,
  submitEvaluateSchema,
  submitPrepareSchema,
  submitRunSchema,
  submitTrainSchema,
} from '../../contract/api/submit.ts';
import { trainingSchema } from '../../contract/api/training.ts';
import { fleetSchema } from '../../contract/api/workers.ts';
import { tidyDocument } from './tidy-document.ts';

/** Schemas that the document names, so that generated clients have names for them too. */
const NAMED_SCHEMAS = {
  Problem: problemSchema,
  RunOverview: runOverviewSchema,
  RunList: runListSchema,
  RunDetail: runDetailSchema,
  SubmitRun: submitRunSchema,
  SubmitClassify: submitClassifySchema,
  SubmitPrepare: submitPrepareSchema,
  SubmitTrain: submitTrainSchema,
  SubmitEvaluate: submitEvaluateSchema,
  Submitted: submittedSchema,
  RetryRequest: retryRequestSchema,
  ActionAnswer: actionSchema,
  ShardMap: shardMapSchema,
  ShardFacts: shardFactsSchema,
  RunLabels: runLabelsSchema,
  ResultsPage: resultsPageSchema,
  ErrorsPage: errorsPageSchema,
  Training: trainingSchema,
  Fleet: fleetSchema,
  LiveEvent: liveEventSchema,
} as const;

/** Requests as they are made, by the schema they are made for. */
const EXAMPLES: readonly [schema: z.ZodType, example: unknown][] = [
  [
    submitClassifySchema,
    {
      kind: 'classify',
      source: 's3://bucket/photos/',
      model: 's3://models/alexnet.safetensors',
      out: 's3://bucket/labels/',
    },
  ],
  [
    submitPrepareSchema,
    { kind: 'prepare', source: 's3://bucket/photos/', out: 's3://bucket/dataset/', shortSide: 256 },
  ],
  [
    submitTrainSchema,
    { kind: 'train', dataset: 's3://bucket/dataset/', out: 's3://bucket/training/', epochs: 90 },
  ],
  [
    submitEvaluateSchema,
    { kind: 'evaluate', dataset: 's3://bucket/dataset/', model: 's3://bucket/training/best.safetensors' },
  ],
  [
    problemSchema,
    {
      type: '/errors#SOURCE_EMPTY',
      title: 'The source holds no images.',
      status: 400,
      detail: 'expected images at s3://bucket/photos/, found none',
      code: 'SOURCE_EMPTY',
      retryable: false,
    },
  ],
];

const TAGS = {
  runs: 'Submitting runs, and looking at them.',
  actions: 'Steering a run.',
  results: 'What runs have brought forth.',
  pictures: 'Images that runs read, and pictures of what they learned.',
  workers: 'Who works, and what waits for them.',
  events: 'What happens, as it happens.',
} as const;

/** What every route says of itself. */
export function operation(operationId: string, tag: keyof typeof TAGS, summary: string) {
  return { operationId, tags: [tag], summary };
}

/** A success with a JSON body. */
export function answer<S extends z.ZodType>(description: string, schema: S) {
  return { description, content: { 'application/json': { schema } } } as const;
}

/** Text of any length; the document says what is in it. */
export const eventStreamSchema = z.string().meta({ 'x-event-data': '#/components/schemas/LiveEvent' });

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
});

/** Answers that every route may give. */
export const PROBLEMS = {
  '4xx': problem('A problem (RFC 9457) with a code of the error catalogue: nothing was changed.'),
  '5xx': problem(
    'Redis or the object store does not answer, or more is asked than the limits allow: the same request may be made again.',
  ),
} as const;

/** Serves the description of the API, made of the schemas that its routes check. */
export async function registerOpenapi(app: FastifyInstance): Promise<void> {
  for (const [id, schema] of Object.entries(NAMED_SCHEMAS)) {
    const example = EXAMPLES.find(([of]) => of === schema)?.[1];
    if (z.globalRegistry.get(schema)?.id !== undefined) continue;
    z.globalRegistry.add(schema, { id, ...(example === undefined ? {} : { examples: [example] }) });
  }
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'imagemill',
        version: VERSION,
        description:
          'Submits, watches and steers runs that label image collections, prepare datasets, or train and evaluate AlexNet.\n\nEvery refusal is a problem with a `code` of the error catalogue. Answers may get further fields; fields are never renamed.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as { name: string },
      },
      servers: [{ url: '/', description: 'The dashboard that serves this document.' }],
      tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            description: '`IMAGEMILL_TOKEN`, or `IMAGEMILL_VIEWER_TOKEN` to look only.',
          },
        },
      },
      security: [{ bearer: [] }, {}],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => tidyDocument(jsonSchemaTransformObject(document)),
  });
}
