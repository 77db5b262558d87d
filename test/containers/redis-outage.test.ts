import { RedisContainer, type StartedRedisContainer } from '@testcontainers/redis';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getContainerRuntimeClient } from 'testcontainers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { findDockerEngine, imageOf, reachesRegistry } from '../support/docker.ts';
import { titleNeeding } from '../support/needs.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 6_000;
const SHARD_SIZE = 300;
const SHARDS = IMAGES / SHARD_SIZE;
const LOCK_MS = 2_000;
/** So long that every claim on a job expires, and that the next stall check finds it. */
const OUTAGE_MS = 3 * LOCK_MS;

// Whether there is an engine is part of the titles.
const engine = await findDockerEngine();
const workers: CliProcess[] = [];
let redis: StartedRedisContainer;
let workspace: Workspace;
let env: Record<string, string>;

beforeAll(async () => {
  if (engine === null) return;
  // What cleans up after a killed run is an image of its own; without a registry, the engine's end does it.
  if (!(await reachesRegistry())) process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const container = new RedisContainer(await imageOf('redis')).withCommand(
    ['redis-server', '--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec'].concat([
      '--maxmemory-policy',
      'noeviction',
    ]),
  );
  [redis, workspace] = await Promise.all([container.start(), createWorkspace(IMAGES)]);
  env = { ...workspace.env, REDIS_URL: redis.getConnectionUrl(), IMAGEMILL_LOCK_MS: String(LOCK_MS) };
}, 120_000);

afterAll(async () => {
  if (engine === null) return;
  for (const { child } of workers) child.kill('SIGKILL');
  await redis?.stop();
  workspace?.remove();
  await engine.release();
}, 60_000);

it.skipIf(engine === null)(
  titleNeeding(
    'Docker',
    engine !== null,
    'labels 6,000 images exactly once while the container of Redis stands still for longer than any claim lasts',
  ),
  async () => {
    workers.push(...(await Promise.all([startWorker(env), startWorker(env)])));
    const out = join(workspace.folder, 'labels');
    const run = startCli(
      [
        'classify',
        workspace.images,
        '--model',
        workspace.model,
        '--out',
        out,
        '--json',
        '--top-k',
        '1',
      ].concat(['--shard-size', String(SHARD_SIZE), '--format', 'jsonl']),
      env,
    );
    while (commitsOf(out).length < 3) await sleep(20);
    const container = (await getContainerRuntimeClient()).container.getById(redis.getId());
    await container.pause();
    await sleep(OUTAGE_MS);
    expect((await container.inspect()).State.Paused).toBe(true);
    // Otherwise the outage came too late to matter.
    const before = commitsOf(out);
    expect(before.length).toBeLessThan(SHARDS / 2);
    await container.unpause();

    const { code, stdout, stderr } = await run.result;
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const report = { state: 'done', items: IMAGES, labelled: IMAGES, errors: 0, shards: SHARDS };
    expect(JSON.parse(stdout)).toMatchObject(report);
    const rows = (await runCli(['results', out], env)).stdout.trimEnd().split('\n');
    const uris = rows.map((line) => (JSON.parse(line) as { uri: string }).uri);
    expect(uris.length).toBe(IMAGES);
    expect(new Set(uris).size).toBe(IMAGES);
    // Both workers came back.
    const after = commitsOf(out).filter((name) => !before.includes(name));
    const names = new Set(after.map((name) => workerOf(out, name)));
    expect(names.size).toBe(2);
  },
  120_000,
);

function commitsOf(out: string): string[] {
  try {
    return readdirSync(join(out, 'commits')).filter((name) => /^\d+\.json$/.test(name));
  } catch {
    return [];
  }
}

function workerOf(out: string, name: string): string {
  return (JSON.parse(readFileSync(join(out, 'commits', name), 'utf8')) as { worker: string }).worker;
}
