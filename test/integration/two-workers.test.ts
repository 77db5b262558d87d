import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 20_000;
const SHARD_SIZE = 800;

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
const workers: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(IMAGES)]);
  env = { ...workspace.env, REDIS_URL: redis.url };
}, 120_000);

afterAll(async () => {
  for (const { child } of workers) child.kill('SIGKILL');
  await redis.stop();
  workspace.remove();
});

async function addWorker(): Promise<CliProcess> {
  const worker = await startWorker(env);
  workers.push(worker);
  return worker;
}

it('labels 20,000 images by two workers, one of them killed midway, without losing or doubling a row', async () => {
  const [victim] = await Promise.all([addWorker(), addWorker()]);
  const out = join(workspace.folder, 'labels');
  const run = startCli(
    ['classify', workspace.images, '--model', workspace.model, '--out', out, '--json', '--top-k', '1'].concat(
      ['--shard-size', String(SHARD_SIZE), '--format', 'jsonl'],
    ),
    env,
  );
  // Midway: some shards are committed, most are not.
  while (commitsOf(out).length < 5) await sleep(50);
  victim?.child.kill('SIGKILL');
  const { code, stdout, stderr } = await run.result;
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    state: 'done',
    items: IMAGES,
    labelled: IMAGES,
    errors: 0,
    shards: 25,
  });

  const rows = await runCli(['results', out], env);
  const uris = rows.stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { uri: string }).uri);
  expect(uris.length).toBe(IMAGES);
  expect(new Set(uris).size).toBe(IMAGES);
  // Both workers had a share; otherwise nothing was tested.
  const names = new Set(commitsOf(out).map((name) => commit(out, name).worker));
  expect(names.size).toBe(2);
}, 300_000);

function commitsOf(out: string): string[] {
  try {
    return readdirSync(join(out, 'commits')).filter(
      (name) => name.endsWith('.json') && !name.startsWith('.'),
    );
  } catch {
    return [];
  }
}

function commit(out: string, name: string): { worker: string } {
  return JSON.parse(readFileSync(join(out, 'commits', name), 'utf8')) as { worker: string };
}
