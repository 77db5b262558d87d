import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { listRunsQuerySchema } from '../../contract/api/runs.ts';
import { mayActAs } from '../access/access-policy.ts';
import type { Services } from '../services.ts';
import { errorsPage } from './errors-page.ts';
import { acceptForms } from './form-body.ts';
import type { PageRenderer } from './render.ts';
import { registerRunPages } from './run/run-routes.ts';
import { runsPage } from './runs-page.ts';
import { registerSignIn } from './sign-in-routes.ts';
import { fleetTables, workersPage } from './workers-page.ts';
import { registerSubmitForms } from './submit/submit-routes.ts';

const HIDDEN = { hide: true } as const;

/** All pages. */
export function registerPages(app: FastifyInstance, services: Services, pages: PageRenderer): void {
  acceptForms(app);
  registerSignIn(app, services, pages);
  registerSubmitForms(app, services, pages, services.idempotency);
  registerRunPages(app, services, pages);
  app.get('/submit', { schema: HIDDEN }, (_request, reply) => reply.redirect('/submit/classify'));
  app.get('/errors', { schema: HIDDEN }, (request, reply) =>
    pages.send(request, reply, { title: 'Errors', body: errorsPage() }),
  );
  app.get('/', { schema: HIDDEN }, (_request, reply) => reply.redirect('/runs'));
  app
    .withTypeProvider<ZodTypeProvider>()
    .get('/runs', { schema: { ...HIDDEN, querystring: listRunsQuerySchema } }, (request, reply) => {
      const mayOperate = request.identity !== null && mayActAs(request.identity, 'operator');
      const list = services.catalogue.list(request.query);
      const body = runsPage(list, request.query, mayOperate);
      return pages.send(request, reply, { title: 'Runs', section: 'runs', scripts: ['runs'], body });
    });
  app
    .withTypeProvider<ZodTypeProvider>()
    .get(
      '/workers',
      { schema: { ...HIDDEN, querystring: z.strictObject({ part: z.literal('fleet').optional() }) } },
      async (request, reply) => {
        const fleet = await services.fleet.read();
        if (request.query.part === 'fleet') {
          return reply.type('text/html; charset=utf-8').send(fleetTables(fleet, Date.now()).text);
        }
        const body = workersPage(fleet, Date.now());
        return pages.send(request, reply, {
          title: 'Workers',
          section: 'workers',
          scripts: ['workers'],
          body,
        });
      },
    );
}
