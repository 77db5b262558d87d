import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli, startCli, type CliProcess } from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const WRITTEN_EVERY_MS = 5_000;

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
let worker: CliProcess | undefined;

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(1)]);
  env = { ...workspace.env, REDIS_URL: redis.url };
});

afterAll(async () => {
  worker?.child.kill('SIGKILL');
  await redis.stop();
  workspace.remove();
});

it("keeps a worker's health file young while Redis answers, lets it grow old while it does not, removes it at the end", async () => {
  const path = join(workspace.folder, 'health');
  const written = () => statSync(path).mtimeMs;
  const untilWrittenAfter = async (ms: number) => {
    while (written() <= ms) await sleep(50);
  };
  worker = startCli(['worker', '--device', 'cpu', '--queues', 'plan', '--health-file', path], env);
  while (!existsSync(path)) await sleep(20);
  await untilWrittenAfter(written());
  await untilWrittenAfter(written());
  redis.process.kill('SIGSTOP');
  // One answer may have been on its way.
  await sleep(500);
  const last = written();
  await sleep(WRITTEN_EVERY_MS + 2_000);
  expect(written()).toBe(last);
  redis.process.kill('SIGCONT');
  await untilWrittenAfter(last);
  worker.child.kill('SIGTERM');
  expect((await worker.result).code).toBe(0);
  expect(existsSync(path)).toBe(false);
}, 60_000);

it('refuses a health file that cannot be written, before it takes any work', async () => {
  const { code, stderr } = await runCli(['worker', '--health-file', '/proc/no/health'], env);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^imagemill: --health-file: .* \[USAGE\]\n$/);
});
