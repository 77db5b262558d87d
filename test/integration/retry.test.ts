import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  classifyArgs,
  listedPhotos,
  makePhotos,
  namesIn,
  photoName,
  photoNames,
  repairPhotos,
  retryArgs,
} from '../support/broken-photos.ts';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { makeJpeg } from '../support/images.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, smallModel, type Workspace } from '../support/workspace.ts';

let workspace: Workspace;
const started: CliProcess[] = [];
const at = (name: string) => join(workspace.folder, name);

beforeAll(async () => {
  workspace = await createWorkspace(1);
}, 60_000);

afterEach(() => {
  for (const { child } of started) child.kill('SIGKILL');
  started.length = 0;
});

afterAll(() => workspace.remove());

const listed = (out: string, ...more: string[]) => listedPhotos(workspace, out, ...more);
const classify = (photos: string, out: string, shardSize: number) =>
  classifyArgs(workspace, photos, out, shardSize);

const json = (text: string) => JSON.parse(text) as { run: string; nested: string };

describe('imagemill retry --failed, embedded', { timeout: 120_000 }, () => {
  it('labels what was repaired, generation by generation, and leaves the rest in the errors', async () => {
    const [photos, out] = [await makePhotos(workspace, 'photos', 18, 12), at('labels')];
    const first = await runCli(classify(photos, out, 5), workspace.env);
    expect(first.code).toBe(3);
    const { run } = json(first.stdout);
    const untouched = await runCli(retryArgs(out), workspace.env);
    expect([untouched.code, untouched.stderr]).toEqual([3, '']);
    expect(json(untouched.stdout)).toMatchObject({ run, labelled: 12, errors: 6, generation: 1 });

    await repairPhotos(at('photos'), 12, 15, 17);
    const second = await runCli(retryArgs(out), workspace.env);
    expect([second.code, second.stderr]).toEqual([3, '']);
    expect(json(second.stdout)).toMatchObject({
      run,
      state: 'done',
      items: 18,
      labelled: 15,
      errors: 3,
      errorsByCode: { IMAGE_FORMAT_UNKNOWN: 3 },
      generation: 2,
      generations: 2,
    });
    expect(await listed(out)).toEqual([...photoNames(0, 12), photoName(12), photoName(15), photoName(17)]);
    expect(await listed(out, '--errors')).toEqual([photoName(13), photoName(14), photoName(16)]);

    await repairPhotos(at('photos'), 13, 14, 16);
    const third = await runCli(['retry', run, '--failed', '--device', 'cpu'], workspace.env);
    expect([third.code, third.stderr]).toEqual([0, '']);
    expect(third.stdout).toMatch(/^r-\w{26} done: 18 images labelled, 0 errors, .*\nretried: 3 times\n/);
    expect((await listed(out)).toSorted()).toEqual(photoNames(0, 18));
    expect(await listed(out, '--errors')).toEqual([]);
  });

  it('says so where no errors are left', async () => {
    const person = await runCli(['retry', at('labels'), '--failed'], workspace.env);
    expect([person.code, person.stderr]).toEqual([0, '']);
    expect(person.stdout).toContain('no errors are left to retry');
    const program = await runCli(retryArgs(at('labels')), workspace.env);
    expect(program.code).toBe(0);
    expect(json(program.stdout)).toMatchObject({ errors: 0, generation: 3, nested: null });
    expect(existsSync(join(at('labels'), 'generations', '0004'))).toBe(false);
  });

  it('is counted by status, and by the same classify given again; the nested run has a status too', async () => {
    const out = at('labels');
    const status = await runCli(['status', out, '--json'], workspace.env);
    expect(json(status.stdout)).toMatchObject({ labelled: 18, errors: 0, generations: 3, progress: 1 });
    const again = await runCli(classify(at('photos'), out, 5), workspace.env);
    expect(again.code).toBe(0);
    expect(json(again.stdout)).toMatchObject({ labelled: 18, errors: 0, errorsByCode: {} });
    const { nested } = json(readFileSync(join(out, 'generations', '0002.json'), 'utf8'));
    const below = await runCli(['status', nested, '--json'], workspace.env);
    expect(json(below.stdout)).toMatchObject({
      run: nested,
      state: 'done',
      items: 6,
      labelled: 3,
      errors: 3,
    });
    const refused = await runCli(['retry', nested, '--failed'], workspace.env);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^imagemill: .* generation 2 of r-\w{26}: .* --failed \[USAGE\]\n$/);
  });

  it('uses the limits of the worker that retries, and the model the run was submitted with', async () => {
    const [photos, out] = [await makePhotos(workspace, 'limited', 4, 4), at('limited-labels')];
    writeFileSync(join(photos, photoName(0)), await makeJpeg({ width: 300, height: 300, seed: 1 }));
    const model = at('moving.safetensors');
    copyFileSync(workspace.model, model);
    const limited = { ...workspace.env, IMAGEMILL_MAX_IMAGE_BYTES: '4096' };
    const first = await runCli([...classify(photos, out, 2), '--model', model], limited);
    expect(json(first.stdout)).toMatchObject({ labelled: 3, errorsByCode: { IMAGE_TOO_MANY_BYTES: 1 } });
    writeFileSync(model, smallModel(10, 1));
    const changed = await runCli(retryArgs(out), workspace.env);
    expect(changed.code).toBe(1);
    expect(changed.stderr).toMatch(
      /SHARDS_FAILED: 1 of 1 shards have no result; shard 0: MODEL_DIGEST_CHANGED/,
    );
    expect(json(changed.stdout)).toMatchObject({ state: 'done', labelled: 3, errors: 1, generations: 0 });
    copyFileSync(workspace.model, model);
    const { code, stdout } = await runCli(retryArgs(out), workspace.env);
    expect(code).toBe(0);
    expect(json(stdout)).toMatchObject({ labelled: 4, errors: 0, generation: 1, generations: 1 });
    expect((await listed(out)).toSorted()).toEqual(photoNames(0, 4));
  });

  it('is completed by resume where it died between the summary and the generation', async () => {
    const out = at('cut-off');
    await makePhotos(workspace, 'few', 6, 3);
    await runCli(classify(at('few'), out, 2), workspace.env);
    await repairPhotos(at('few'), 3, 4, 5);
    await runCli(retryArgs(out), workspace.env);
    const document = join(out, 'generations', '0001.json');
    const complete = readFileSync(document, 'utf8');
    for (const reference of [out, json(complete).nested]) {
      rmSync(document);
      expect(await listed(out)).toEqual(photoNames(0, 3));
      const { code } = await runCli(['resume', reference, '--json'], workspace.env);
      expect(code).toBe(0);
      expect(readFileSync(document, 'utf8')).toBe(complete);
      expect(await listed(out)).toEqual(photoNames(0, 6));
    }
  });
});

describe('imagemill retry, on a queue', { timeout: 120_000 }, () => {
  let redis: TestRedis;
  let env: Record<string, string>;
  beforeAll(async () => {
    redis = await startRedis();
    env = { ...workspace.env, REDIS_URL: redis.url };
  });
  afterAll(() => redis.stop());

  it('--failed refuses a run that is not done; without it, shards without a result are done', async () => {
    const [photos, out] = [await makePhotos(workspace, 'queued', 9, 6), at('queued-labels')];
    expect((await runCli([...classify(photos, out, 2), '--no-wait'], env)).code).toBe(0);
    const refused = await runCli(retryArgs(out), env);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /expected a run that is done, .*: imagemill resume r-\w{26} first \[USAGE\]\n$/,
    );
    started.push(await startWorker(env));
    const { code, stdout } = await runCli(['retry', out, '--json'], env);
    expect(code).toBe(3);
    expect(json(stdout)).toMatchObject({ state: 'done', labelled: 6, errors: 3, generations: 0 });
  });

  it('--no-wait returns at once, and two people who retry at once follow one generation', async () => {
    const out = at('queued-labels');
    await repairPhotos(at('queued'), 6, 7, 8);
    const queued = await runCli([...retryArgs(out), '--no-wait'], env);
    expect(queued.code).toBe(0);
    const { nested } = json(queued.stdout);
    expect(json(queued.stdout)).toMatchObject({ labelled: 6, errors: 3, generation: 1, generations: 0 });
    const two = [startCli(retryArgs(out), env), startCli(retryArgs(out), env)];
    await sleep(500);
    started.push(await startWorker(env), ...two);
    for (const { result } of two) {
      const { code, stdout, stderr } = await result;
      expect([code, stderr]).toEqual([0, '']);
      expect(json(stdout)).toMatchObject({ labelled: 9, errors: 0, generation: 1, generations: 1, nested });
    }
    expect(namesIn(join(out, 'generations'))).toEqual(['0001', '0001.json']);
    expect((await listed(out)).toSorted()).toEqual(photoNames(0, 9));
  });
});
