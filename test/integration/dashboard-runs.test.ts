import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImagemillClient, type RunOverview, type SubmitRunInput } from '../../src/client/index.ts';
import { makePhotos, photoNames, repairPhotos } from '../support/broken-photos.ts';
import { runCli, startWorker, type CliProcess } from '../support/cli.ts';
import {
  OPERATOR_TOKEN,
  startTestDashboard,
  TOKENS,
  VIEWER_TOKEN,
  type TestDashboard,
} from '../support/dashboard.ts';
import { writeClasses } from '../support/datasets.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 3_000;

let redis: TestRedis;
let workspace: Workspace;
let worker: CliProcess;
let test: TestDashboard;
let mill: ImagemillClient;
let env: Record<string, string>;
const at = (...names: string[]) => join(workspace.folder, ...names);

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(IMAGES)]);
  env = { ...workspace.env, REDIS_URL: redis.url, IMAGEMILL_LOCK_MS: '3000' };
  test = await startTestDashboard({ redisUrl: redis.url, home: at('home'), access: TOKENS });
  mill = new ImagemillClient({ baseUrl: test.address, token: OPERATOR_TOKEN });
  worker = await startWorker(env);
}, 120_000);

afterAll(async () => {
  worker.child.kill('SIGKILL');
  await test.close();
  await redis.stop();
  workspace.remove();
});

const classify = (source: string, out: string, more: Partial<SubmitRunInput> = {}): SubmitRunInput =>
  ({
    kind: 'classify',
    source,
    model: workspace.model,
    out: at(out),
    format: 'jsonl',
    shardSize: 5,
    ...more,
  }) as SubmitRunInput;

async function submitted(
  request: SubmitRunInput,
): Promise<{ run: string; out: string; seen: RunOverview[] }> {
  const { run, out, created } = await mill.submit(request);
  expect(created).toBe(true);
  const seen: RunOverview[] = [];
  const { overview } = await mill.wait(run, { onChange: (overview) => seen.push(overview) });
  expect(overview).toMatchObject({ run, state: 'done', progress: 1, submittedBy: 'operator' });
  return { run, out, seen };
}

async function collect<R extends { uri: string }>(rows: AsyncIterable<R>): Promise<string[]> {
  const names: string[] = [];
  for await (const { uri } of rows) names.push(uri.split('/').at(-1) ?? '');
  return names;
}

async function downloaded(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  return Buffer.from(await new Response(stream).arrayBuffer());
}

describe('a run of every kind', { timeout: 180_000 }, () => {
  it('is submitted, and watched to its end: classify, with what `imagemill results` gives', async () => {
    const photos = await makePhotos(workspace, 'photos', 18, 15);
    const { run, out, seen } = await submitted(classify(photos, 'labels'));
    expect(seen.at(-1)).toMatchObject({ state: 'done', items: 18, errors: 3 });
    expect(await collect(mill.results(run, { pageSize: 4 }))).toEqual(photoNames(0, 15));
    expect(await collect(mill.errors(run, { pageSize: 2 }))).toEqual(photoNames(15, 18));
    for (const format of ['parquet', 'jsonl', 'csv'] as const) {
      const file = at(`results.${format}`);
      expect((await runCli(['results', out, '--format', format, '--output', file], env)).code).toBe(0);
      const bytes = await downloaded(await mill.downloadResults(run, format));
      expect(Buffer.compare(bytes, readFileSync(file)), format).toBe(0);
      expect(bytes.length).toBeGreaterThan(100);
    }
    const errors = await runCli(['results', run, '--errors'], env);
    expect((await downloaded(await mill.downloadErrors(run))).toString()).toBe(errors.stdout);
    expect((await mill.getShardMap(run)).cells).toBe('===!');
    expect(await mill.getRun(run)).toMatchObject({
      shards: { planned: 4, committed: 4 },
      actions: ['retry-failed'],
    });

    // Its errors are labelled again, once the files are repaired.
    await repairPhotos(photos, 15, 16);
    const { enqueued } = await mill.retry(run, { failed: true });
    expect(enqueued).not.toBe(run);
    await mill.wait(enqueued ?? '');
    const left = async () => (await mill.getRun(run)).overview.errors;
    await expect.poll(left, { timeout: 20_000 }).toBe(1);
    expect((await collect(mill.results(run, { pageSize: 7 }))).toSorted()).toEqual(photoNames(0, 17));
    expect(await collect(mill.errors(run))).toEqual(photoNames(17, 18));
    // The list says so too, without anybody having looked at the run.
    expect((await mill.listRuns({ text: run })).runs[0]?.errors).toBe(1);
  });

  it('prepare, train and evaluate', async () => {
    await writeClasses(at('classes'), ['cat', 'dog', 'ewe'], 12, 24);
    const prepared = await submitted({
      kind: 'prepare',
      source: at('classes'),
      out: at('dataset'),
      shortSide: 16,
      encoding: 'png',
      valFraction: 0.25,
      shardSize: 10,
    });
    const trained = await submitted({
      kind: 'train',
      dataset: prepared.out,
      out: at('training'),
      recipe: 'alexnet-small',
      epochs: 2,
      batchSize: 4,
      checkpointSteps: 3,
      settings: ['learningRate=0.001'],
    });
    const training = await mill.getTraining(trained.run);
    expect(training.done.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(training.steps.length).toBe(training.done.reduce((sum, { steps }) => sum + steps, 0));
    const model = `${trained.out}best.safetensors`;
    const { run } = await submitted({ kind: 'evaluate', dataset: prepared.out, model });
    expect((await collect(mill.results(run))).length).toBeGreaterThan(0);
    expect((await mill.listRuns({ kind: 'evaluate' })).runs.map((each) => each.run)).toEqual([run]);
    await expect(mill.listResults(trained.run)).rejects.toMatchObject({ status: 404, code: 'RUN_NOT_FOUND' });
    await expect(mill.getTraining(run)).rejects.toMatchObject({ status: 404 });
  });
});

describe('a run that goes on', { timeout: 120_000 }, () => {
  it('is cancelled, and stays so', async () => {
    const { run } = await mill.submit(classify(workspace.images, 'cancelled', { shardSize: 100 }));
    for await (const event of mill.events({ run }))
      if (event.type === 'run' && (event.run.items ?? 0) > 0) break;
    expect((await mill.cancel(run)).message).toContain('cancelled');
    const { overview, actions } = await mill.wait(run);
    expect(overview.state).toBe('cancelled');
    expect(overview.items).toBeLessThan(IMAGES);
    expect(actions).toEqual([]);
    expect((await mill.cancel(run)).enqueued).toBeNull();
    await expect(mill.resume(run)).rejects.toMatchObject({ status: 409, code: 'RUN_CANCELLED' });
    await expect(mill.retry(run, { failed: true })).rejects.toMatchObject({ status: 400, code: 'USAGE' });
  });

  it('fails, says why, and is resumed', async () => {
    const model = at('moving.safetensors');
    copyFileSync(workspace.model, model);
    const { run } = await mill.submit(
      classify(workspace.images, 'failed', {
        model,
        limit: 30,
        shardSize: 10,
        priority: 5,
      }),
    );
    renameSync(model, `${model}.away`);
    const failed = await mill.wait(run);
    // Whoever was faster: the worker may have read the model before it was gone.
    if (failed.overview.state === 'failed') {
      expect(failed.failure?.message).toContain('MODEL_NOT_FOUND');
      expect(failed.actions).toEqual(['resume', 'cancel']);
      expect((await mill.getShardMap(run)).cells).toContain('x');
    }
    renameSync(`${model}.away`, model);
    if (failed.overview.state === 'failed') expect((await mill.resume(run)).enqueued).toBe(run);
    await expect.poll(async () => (await mill.getRun(run)).overview.state, { timeout: 60_000 }).toBe('done');
    expect((await mill.resume(run)).message).toContain('done already');
  });

  it('is the same run where its submission is repeated', async () => {
    const request = classify(workspace.images, 'twice', { limit: 5 });
    const first = await mill.submit(request, { idempotencyKey: 'twice' });
    expect(await mill.submit(request, { idempotencyKey: 'twice' })).toEqual(first);
    expect(await mill.submit(request)).toEqual({ ...first, created: false });
    const fresh = { ...request, fresh: true } as SubmitRunInput;
    const another = await mill.submit(fresh, { idempotencyKey: 'another' });
    expect(another.run).not.toBe(first.run);
    expect(await mill.submit(fresh, { idempotencyKey: 'another' })).toEqual(another);
    await expect(mill.submit(request, { idempotencyKey: 'another' })).rejects.toMatchObject({
      status: 422,
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  });
});

it('a viewer sees everything and changes nothing', async () => {
  const viewer = new ImagemillClient({ baseUrl: test.address, token: VIEWER_TOKEN });
  const [newest] = (await viewer.listRuns({ limit: 1 })).runs;
  expect(newest).toBeDefined();
  await expect(viewer.submit(classify(workspace.images, 'never'))).rejects.toMatchObject({
    status: 403,
    code: 'FORBIDDEN',
  });
  await expect(viewer.cancel(newest?.run ?? '')).rejects.toMatchObject({ status: 403 });
});
