import type { FastifyInstance } from 'fastify';
import type { Services } from '../services.ts';
import { registerEventsRoute } from './events-route.ts';
import { registerPictureRoutes } from './pictures-routes.ts';
import { registerResultRoutes } from './results-routes.ts';
import { registerRunFactRoutes } from './run-facts-routes.ts';
import { registerRunRoutes } from './runs-routes.ts';
import { registerWorkerRoutes } from './workers-routes.ts';

/** All routes of the API, and the document that describes them. */
export async function registerApi(app: FastifyInstance, services: Services): Promise<void> {
  await app.register(
    async (api) => {
      // JSON is all that the API reads.
      api.removeContentTypeParser('text/plain');
      registerRunRoutes(api, services);
      registerResultRoutes(api, services);
      registerRunFactRoutes(api, services);
      registerPictureRoutes(api, services);
      registerWorkerRoutes(api, services);
      registerEventsRoute(api, services);
      api.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
    },
    { prefix: '/api/v1' },
  );
}
