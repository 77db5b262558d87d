import fastify, { type FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Role } from '../../../../src/dashboard/access/access-policy.ts';
import { acceptForms } from '../../../../src/dashboard/pages/form-body.ts';
import { PageRenderer } from '../../../../src/dashboard/pages/render.ts';
import { registerRunPages } from '../../../../src/dashboard/pages/run/run-routes.ts';
import { problemOf } from '../../../../src/dashboard/problem.ts';
import type { Services } from '../../../../src/dashboard/services.ts';
import { commitOf, FakeRuns, outOf, runId } from '../../support.ts';

let runs: FakeRuns;
let app: FastifyInstance;
let role: Role;
/** Ids of the runs that were put on the queue. */
let queued: string[];

beforeEach(async () => {
  runs = new FakeRuns();
  [role, queued] = ['operator', []];
  app = fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.decorateRequest('identity', null);
  app.addHook('onRequest', async (request) => {
    request.identity = { name: role, role };
  });
  app.setErrorHandler((error, _request, reply) => {
    const { status, code } = problemOf(error);
    return reply.code(status).send(code);
  });
  acceptForms(app);
  const addPlanJob = async ({ run }: { run: string }) => {
    queued.push(run);
    return run;
  };
  const { index, stores } = runs;
  const partial: object = {
    catalogue: runs.catalogue(),
    resolver: stores.resolver,
    index,
    queues: { addPlanJob },
  };
  registerRunPages(app, partial as Services, new PageRenderer('/assets/x', { kind: 'open' }));
  await app.ready();
});
afterEach(() => app.close());

const get = (more = '') => app.inject({ url: `/runs/${runId(1)}${more}` });
const press = (action: string) =>
  app.inject({
    method: 'POST',
    url: `/runs/${runId(1)}/${action}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: '',
  });
const location = (action: string) =>
  press(action).then(({ statusCode, headers }) => [statusCode, headers.location]);

describe('the address of a run', () => {
  it.each(['planning', 'running', 'failed', 'cancelled', 'done', 'gone'] as const)(
    'shows one that is %s',
    async (state) => {
      const ledger = await runs.add(1, state);
      if (state !== 'gone') await ledger.commit(commitOf(runId(1), 0));
      const { statusCode, body } = await get();
      expect(statusCode).toBe(200);
      expect(body).toContain(`data-state="${state === 'gone' ? 'unreadable' : state}"`);
      expect(body).toContain('<title>classify 000001 · imagemill</title>');
      expect(body).toContain('href="/assets/x/run.css"');
      expect(body).not.toMatch(/NaN|undefined|\[object/);
    },
  );

  it('knows no run that is not in the index, and no questions but its own', async () => {
    expect(await get()).toMatchObject({ statusCode: 404, body: 'RUN_NOT_FOUND' });
    await runs.add(1, 'running');
    for (const question of [
      '?notice=You+have+won',
      '?errors=x',
      '?epoch=0',
      '?step=-1',
      '?out=s3://x/',
      '?enqueued=r-1',
    ]) {
      expect(await get(question)).toMatchObject({ statusCode: 400, body: 'REQUEST_INVALID' });
    }
  });

  it('shows viewers no forms', async () => {
    await runs.add(1, 'running');
    expect((await get()).body).toContain('/cancel"');
    role = 'viewer';
    expect((await get()).body).not.toContain('method="post"');
  });

  it('costs no listing once everything is read, however often it is looked at', async () => {
    const ledger = await runs.add(1, 'done');
    for (const shard of [0, 1, 2, 3]) await ledger.commit(commitOf(runId(1), shard));
    await get();
    const before = { ...runs.stores.calls };
    for (let look = 0; look < 5; look += 1) await get();
    expect(runs.stores.calls.list).toBe(before.list);
    expect(runs.stores.calls.get - before.get).toBeLessThan(20);
  });
});

describe('forms on the page of a run', () => {
  it('cancel, and say so', async () => {
    await runs.add(1, 'running');
    expect(await location('cancel')).toEqual([303, `/runs/${runId(1)}?notice=cancelled`]);
    expect(await runs.ledger(1).isCancelled()).toBe(true);
    const { body } = await get('?notice=cancelled');
    expect(body).toContain('Cancelled. What is committed stays.');
    expect(body).not.toContain('/cancel"');
  });

  it('resume what stopped short', async () => {
    await runs.add(1, 'failed');
    expect(await location('resume')).toEqual([303, `/runs/${runId(1)}?notice=queued`]);
    expect(queued).toEqual([runId(1)]);
  });

  it('retry errors, and lead to the nested run', async () => {
    await runs.add(1, 'done');
    const [status, to] = await location('retry-failed');
    expect(status).toBe(303);
    const [, nested = ''] =
      /^\/runs\/r-0+1\?notice=retrying&enqueued=(r-[0-9A-Z]{26})$/.exec(String(to)) ?? [];
    expect(queued).toEqual([nested]);
    expect((await runs.index.find(nested)).out).toBe(`${outOf(1)}generations/0001/`);
    expect((await get(`?notice=retrying&enqueued=${nested}`)).body).toContain(`href="/runs/${nested}"`);
  });

  it('do nothing to what is done, or cancelled', async () => {
    await runs.add(1, 'done');
    expect(await location('cancel')).toEqual([303, `/runs/${runId(1)}?notice=done-already`]);
    expect(await location('resume')).toEqual([303, `/runs/${runId(1)}?notice=done-already`]);
    await runs.add(2, 'cancelled');
    const { statusCode, body } = await app.inject({ method: 'POST', url: `/runs/${runId(2)}/resume` });
    expect([statusCode, body]).toEqual([409, 'RUN_CANCELLED']);
    expect(queued).toEqual([]);
  });
});
