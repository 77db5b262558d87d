import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { RUN_KINDS } from '../../../contract/run.ts';
import type { Idempotency } from '../../api/idempotency.ts';
import { problemOf } from '../../problem.ts';
import { submitRun } from '../../runs/submit-run.ts';
import type { Services } from '../../services.ts';
import { firstOf, parseFields, type FormFields } from '../form-body.ts';
import type { PageRenderer } from '../render.ts';
import type { RunKind } from './form-fields.ts';
import { fieldOfFault, readForm, type FieldFaults } from './read-form.ts';
import { submitPage } from './submit-page.ts';

const STATUS_FAULT = 500;
const params = z.strictObject({ kind: z.enum(RUN_KINDS) });

/** Forms to submit runs with; they work without a script. */
export function registerSubmitForms(
  app: FastifyInstance,
  services: Services,
  pages: PageRenderer,
  idempotency: Idempotency,
): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  routes.get(
    '/submit/:kind',
    { config: { access: 'operator' }, schema: { hide: true, params } },
    (request, reply) => {
      const fields = parseFields(request.url.split('?', 2)[1] ?? '');
      return show(request, reply, pages, { kind: request.params.kind, fields, faults: {} });
    },
  );
  routes.post('/submit/:kind', { schema: { hide: true, params } }, async (request, reply) => {
    const { kind } = request.params;
    const fields = (request.body ?? {}) as FormFields;
    const read = readForm(kind, fields);
    if ('faults' in read) return show(request, reply, pages, { kind, fields, faults: read.faults }, 400);
    const submittedBy = request.identity?.name ?? 'unknown';
    try {
      const key = firstOf(fields, 'idempotencyKey');
      const answer = await idempotency.once(key === '' ? undefined : key, read.request, (identity) =>
        submitRun(read.request, services, { submittedBy, identity }),
      );
      request.log.info({ run: answer.run, by: submittedBy, created: answer.created }, 'run submitted');
      return await reply.redirect(`/runs/${answer.run}`, 303);
    } catch (error) {
      const { code, detail, status } = problemOf(error);
      if (status >= STATUS_FAULT && code === 'INTERNAL') throw error;
      request.log.warn({ code, detail }, 'submission refused');
      const faults = { [fieldOfFault(kind, code, detail)]: `${detail} [${code}]` };
      return show(request, reply, pages, { kind, fields, faults }, status);
    }
  });
}

function show(
  request: FastifyRequest,
  reply: FastifyReply,
  pages: PageRenderer,
  form: { kind: RunKind; fields: FormFields; faults: FieldFaults },
  status = 200,
): FastifyReply {
  const body = submitPage({ ...form, idempotencyKey: randomUUID() });
  return pages.send(request, reply, { title: 'Submit a run', section: 'submit', body }, status);
}
