import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { fleetSchema } from '../../contract/api/workers.ts';
import type { Services } from '../services.ts';
import { answer, operation, PROBLEMS } from './openapi.ts';

/** Who works, and what waits for them. */
export function registerWorkerRoutes(app: FastifyInstance, { fleet }: Services): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    '/workers',
    {
      schema: {
        ...operation('getFleet', 'workers', 'Workers with what they do, and the queues they serve'),
        querystring: z.strictObject({}),
        response: { 200: answer('Workers and queues.', fleetSchema), ...PROBLEMS },
      },
    },
    () => fleet.read(),
  );
}
