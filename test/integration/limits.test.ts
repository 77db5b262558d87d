import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';
import { useProxiedS3 } from '../support/proxied-s3.ts';
import { rgwMissing } from '../support/rgw.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 30;
const DISK_BYTES = 1024 * 1024;

let workspace: Workspace;
beforeAll(async () => {
  workspace = await createWorkspace(IMAGES);
});
afterAll(() => workspace.remove());

function classify(out: string, env: Record<string, string>) {
  return runCli(
    ['classify', workspace.images, '--model', workspace.model, '--out', out, '--shard-size', '5'].concat([
      '--batch-size',
      '4',
      '--format',
      'jsonl',
      '--device',
      'cpu',
      '--json',
    ]),
    { ...workspace.env, IMAGEMILL_SHARD_ATTEMPTS: '2', ...env },
  );
}

/** The run went to its end once there was room, with every image exactly once. */
async function expectResumed(out: string, env: Record<string, string>): Promise<void> {
  const all = { ...workspace.env, ...env };
  const resumed = await runCli(['resume', out, '--json'], all);
  expect([resumed.code, resumed.stderr]).toEqual([0, expect.any(String)]);
  expect(JSON.parse(resumed.stdout)).toMatchObject({ state: 'done', items: IMAGES, labelled: IMAGES });
  const { stdout } = await runCli(['results', out], all);
  const uris = stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { uri: string }).uri);
  expect([uris.length, new Set(uris).size]).toEqual([IMAGES, IMAGES]);
}

/** A small file system; null where this machine lets us mount none. */
function mountSmall(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return null;
  }
}

const disk = mountSmall();
afterAll(() => {
  if (disk === null) return;
  execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true });
});

describe('a disk that is full', () => {
  it.skipIf(disk === null)(
    titleNeeding('mount', disk !== null, 'ends a run with one line that says so; with room it is resumed'),
    async () => {
      const folder = disk ?? '';
      const out = join(folder, 'labels');
      // Room for the plan and a few shards.
      const filler = join(folder, 'filler');
      writeFileSync(filler, Buffer.alloc(DISK_BYTES - 64 * 1024));
      const run = await classify(out, {});
      expect([run.code, run.stderr]).toEqual([1, expect.any(String)]);
      const line = run.stderr.trim().split('\n').at(-1);
      expect(line).toMatch(/^imagemill: .*STORE_FULL.*/);
      expect(run.stderr).not.toContain('    at ');
      rmSync(filler);
      await expectResumed(out, {});
    },
    60_000,
  );
});

const canRun = rgwMissing() === null;
describe.skipIf(!canRun)(titleNeeding('radosgw', canRun, 'a bucket whose quota is used up'), () => {
  const s3 = useProxiedS3();

  it('ends a run with one line that says so; with room it is resumed', async () => {
    const proxy = s3.proxy();
    const env = s3.env();
    const out = `${await s3.rgw.freshUri()}labels/`;
    let parts = 0;
    proxy.decide = ({ method, url }) =>
      method === 'PUT' && url.includes('/parts/') && ++parts > 2 ? 'full' : 'pass';
    const run = await classify(out, env);
    expect([run.code, run.stderr]).toEqual([1, expect.any(String)]);
    expect(run.stderr.trim().split('\n').at(-1)).toMatch(/^imagemill: .*STORE_FULL.*QuotaExceeded/);
    proxy.decide = () => 'pass';
    await expectResumed(out, env);
  }, 60_000);
});
