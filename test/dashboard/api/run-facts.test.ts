import fastify, { type FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runLabelsSchema } from '../../../src/contract/api/labels.ts';
import { problemSchema } from '../../../src/contract/api/problem.ts';
import { shardFactsSchema } from '../../../src/contract/api/runs.ts';
import { ImageError, ImagemillError } from '../../../src/contract/errors.ts';
import { registerPictureRoutes } from '../../../src/dashboard/api/pictures-routes.ts';
import { registerRunFactRoutes } from '../../../src/dashboard/api/run-facts-routes.ts';
import type { RunCatalogue } from '../../../src/dashboard/catalogue/run-catalogue.ts';
import { problemOf } from '../../../src/dashboard/problem.ts';
import type { Services } from '../../../src/dashboard/services.ts';
import { ledgerKeys } from '../../../src/storage/ledger-keys.ts';
import { commitOf, FakeRuns, outOf, runId } from '../support.ts';

type Pictures = Services['pictures'];

let runs: FakeRuns;
let catalogue: RunCatalogue;
let app: FastifyInstance;
/** What was asked of the process that makes pictures. */
let asked: unknown[];
let failWith: Error | null;

const picture = async (...arguments_: unknown[]) => {
  asked.push(arguments_.filter((argument) => !(argument instanceof AbortSignal) && argument !== undefined));
  if (failWith !== null) throw failWith;
  return { bytes: Uint8Array.of(1, 2, 3), contentType: 'image/webp' as const };
};

beforeEach(async () => {
  runs = new FakeRuns();
  catalogue = runs.catalogue();
  [asked, failWith] = [[], null];
  const pictures: Pictures = { thumbnail: picture, filters: picture, minibatch: picture };
  app = fastify({ routerOptions: { maxParamLength: 512 } });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler((error, _request, reply) => {
    const problem = problemOf(error);
    return reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  });
  const services = { catalogue, pictures } as Services;
  registerRunFactRoutes(app, services);
  registerPictureRoutes(app, services);
  await app.ready();
});
afterEach(() => app.close());

const get = (path: string) => app.inject({ url: `/runs/${runId(1)}/${path}` });
async function problemAt(path: string) {
  const { statusCode, json } = await get(path);
  return { statusCode, ...problemSchema.parse(json()) };
}

describe('labels and shards of a run', () => {
  it('are told in the form of the contract', async () => {
    const ledger = await runs.add(1, 'running');
    await ledger.commit(commitOf(runId(1), 2, 3));
    const labels = await get('labels');
    expect(labels.statusCode).toBe(200);
    expect(runLabelsSchema.parse(labels.json())).toMatchObject({ images: 0, undescribedShards: 1 });
    const facts = async (shard: number) => shardFactsSchema.parse((await get(`shards/${shard}`)).json());
    expect(await facts(2)).toEqual({
      shard: 2,
      state: 'committed',
      items: 10,
      labelled: 7,
      errors: 3,
      seconds: 1,
      worker: 'w',
      committedAt: '2026-01-02T03:04:06.000Z',
    });
    const watched = await catalogue.get(runId(1));
    watched.noteShard(0, { items: 4, errors: 1 });
    watched.noteShardEnd(1, 'failed');
    expect(await facts(0)).toMatchObject({ state: 'active', items: 4, errors: 1, worker: null });
    expect(await facts(1)).toMatchObject({ state: 'failed', items: null });
    expect(await facts(3)).toMatchObject({ state: 'waiting', items: null });
  });

  it.each(['4', '99999999'])('are not told of shard %s, which the run has not', async (shard) => {
    await runs.add(1, 'running');
    expect(await problemAt(`shards/${shard}`)).toMatchObject({ statusCode: 404, code: 'PAGE_NOT_FOUND' });
  });

  it.each(['-1', '1e3', '0x1', '1.5', ' 1', '123456789', 'NaN', '1%2f2'])(
    'refuses the shard %s',
    async (shard) => {
      await runs.add(1, 'running');
      expect(await problemAt(`shards/${shard}`)).toMatchObject({ statusCode: 400, code: 'REQUEST_INVALID' });
    },
  );

  it('are told of runs that label alone', async () => {
    await runs.add(1, 'running', { kind: 'train' });
    expect(await problemAt('labels')).toMatchObject({ statusCode: 404, code: 'RUN_NOT_FOUND' });
  });
});

describe('pictures of a run', () => {
  it('are named by numbers; where they are is the business of the index', async () => {
    await runs.add(1, 'done');
    const { statusCode, headers, rawPayload } = await get('pictures/thumbnail/0/2/7');
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('image/webp');
    expect(headers['cache-control']).toBe('private, max-age=86400, immutable');
    expect([...rawPayload]).toEqual([1, 2, 3]);
    expect(asked).toEqual([[outOf(1), 2, 7]]);
  });

  it('of a generation are those of its nested run; of one that is not complete there are none', async () => {
    const ledger = await runs.add(1, 'done');
    await ledger.createGeneration({
      schema: 'imagemill.generation/1',
      run: runId(1),
      generation: 1,
      nested: runId(2),
      directory: 'generations/0001/',
      items: 3,
      labelled: 1,
      errors: 2,
      errorsByCode: { IMAGE_EMPTY: 2 },
      finishedAt: '2026-01-02T04:00:00.000Z',
    });
    await get('pictures/thumbnail/1/0/0');
    expect(asked).toEqual([[`${outOf(1)}generations/0001`, 0, 0]]);
    expect(await problemAt('pictures/thumbnail/2/0/0')).toMatchObject({
      statusCode: 404,
      code: 'PAGE_NOT_FOUND',
    });
  });

  it('that cannot be made are problems with the code of what is wrong', async () => {
    await runs.add(1, 'done');
    failWith = new ImageError('IMAGE_TRUNCATED', 'expected a complete JPEG, got half of one');
    expect(await problemAt('pictures/thumbnail/0/0/0')).toMatchObject({
      statusCode: 422,
      code: 'IMAGE_TRUNCATED',
    });
    failWith = new ImagemillError('PICTURES_BUSY', 'expected at most 200, got one more');
    expect(await problemAt('pictures/thumbnail/0/0/0')).toMatchObject({ statusCode: 503, retryable: true });
  });

  it.each([
    'thumbnail/0/0/-1',
    'thumbnail/a/0/0',
    'thumbnail/0/0/0?out=s3://other/',
    'minibatch/0/0',
    'minibatch/1/x',
    'thumbnail/0/..%2f..%2f/0',
  ])('refuses %s before anything is read', async (path) => {
    await runs.add(1, 'done', { kind: path.startsWith('minibatch') ? 'train' : 'classify' });
    expect(await problemAt(`pictures/${path}`)).toMatchObject({ statusCode: 400, code: 'REQUEST_INVALID' });
    expect(asked).toEqual([]);
  });

  it('of training are of training runs alone; the filters of an epoch are soon asked for again', async () => {
    await runs.add(1, 'running', { kind: 'train' });
    expect((await get('pictures/filters')).headers['cache-control']).toBe('private, max-age=10');
    expect((await get('pictures/minibatch/3/17')).headers['cache-control']).toContain('immutable');
    expect(asked).toEqual([[outOf(1)], [outOf(1), 3, 17]]);
    expect(await problemAt('pictures/confusion')).toMatchObject({ statusCode: 404, code: 'RUN_NOT_FOUND' });
  });

  it('of a confusion matrix is the one that the run left', async () => {
    const ledger = await runs.add(1, 'done', { kind: 'evaluate' });
    expect(await problemAt('pictures/confusion')).toMatchObject({
      statusCode: 404,
      code: 'OBJECT_NOT_FOUND',
    });
    await ledger.store.put(ledgerKeys.confusion, Uint8Array.of(9, 8));
    const { headers, rawPayload } = await get('pictures/confusion');
    expect(headers['content-type']).toBe('image/png');
    expect([...rawPayload]).toEqual([9, 8]);
    expect(await problemAt('pictures/filters')).toMatchObject({ statusCode: 404, code: 'RUN_NOT_FOUND' });
  });
});
