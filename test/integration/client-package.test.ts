import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePhotos, photoName } from '../support/broken-photos.ts';
import { startWorker, type CliProcess } from '../support/cli.ts';
import { OPERATOR_TOKEN, startTestDashboard, TOKENS, type TestDashboard } from '../support/dashboard.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

describe('imagemill/client, as it is packed', () => {
  it('loads nothing but itself', () => {
    const folder = join(root, 'dist', 'client');
    const imports = readdirSync(folder)
      .filter((name) => name.endsWith('.js'))
      .flatMap((name) => [
        ...readFileSync(join(folder, name), 'utf8').matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g),
      ])
      .map(([, target]) => target ?? '');
    expect(imports.length).toBeGreaterThan(3);
    expect(imports.filter((target) => !/^\.\/[a-z-]+\.js$/.test(target))).toEqual([]);
  });

  it('has types for whoever uses it, in Node and for browsers', { timeout: 120_000 }, async () => {
    const project = mkdtempSync(join(tmpdir(), 'imagemill-consumer-'));
    try {
      mkdirSync(join(project, 'node_modules'));
      symlinkSync(root, join(project, 'node_modules', 'imagemill'));
      writeFileSync(
        join(project, 'use.ts'),
        `import { ApiProblem, ImagemillClient, type RunList } from 'imagemill/client';
         import { ImagemillClient as Same } from 'imagemill';
         const mill: Same = new ImagemillClient({ baseUrl: 'http://127.0.0.1:3000' });
         export const list: Promise<RunList> = mill.listRuns({ state: 'done' });
         export const code: string | null = new ApiProblem({ status: 400, code: 'USAGE', detail: 'x', retryable: false }).code;
         // @ts-expect-error a kind that there is not
         void mill.submit({ kind: 'paint', out: 'x' });
         // @ts-expect-error a misspelled option
         void mill.submit({ kind: 'evaluate', dataset: 'x', model: 'y', crop: 10 });
         for await (const event of mill.events()) if (event.type === 'run') event.run.progress.toFixed();
        `,
      );
      writeFileSync(join(project, 'package.json'), '{"type":"module"}');
      for (const [module, moduleResolution] of [
        ['nodenext', 'nodenext'],
        ['esnext', 'bundler'],
      ] as const) {
        const compilerOptions = {
          noEmit: true,
          strict: true,
          target: 'es2023',
          lib: ['es2023', 'dom', 'dom.asynciterable'],
          module,
          moduleResolution,
          skipLibCheck: true,
          types: [],
        };
        const config = { compilerOptions, include: ['use.ts'] };
        writeFileSync(join(project, 'tsconfig.json'), JSON.stringify(config));
        const tsc = join(root, 'node_modules/typescript/bin/tsc');
        const done = run(process.execPath, [tsc, '-p', project]).catch((error: { stdout: string }) => error);
        expect((await done).stdout, module).toBe('');
      }
    } finally {
      rmSync(project, { recursive: true, force: true });
    }
  });
});

describe('examples/submit-and-watch.mjs', { timeout: 120_000 }, () => {
  let redis: TestRedis;
  let workspace: Workspace;
  let worker: CliProcess;
  let test: TestDashboard;

  beforeAll(async () => {
    [redis, workspace] = await Promise.all([startRedis(), createWorkspace(1)]);
    const home = join(workspace.folder, 'home');
    test = await startTestDashboard({ redisUrl: redis.url, home, access: TOKENS });
    worker = await startWorker({ ...workspace.env, REDIS_URL: redis.url });
  }, 120_000);

  afterAll(async () => {
    worker.child.kill('SIGKILL');
    await test.close();
    await redis.stop();
    workspace.remove();
  });

  const example = async (token: string, ...args: string[]) => {
    const env = { PATH: process.env['PATH'] ?? '', IMAGEMILL_URL: test.address, IMAGEMILL_TOKEN: token };
    const told = run(process.execPath, [join(root, 'examples/submit-and-watch.mjs'), ...args], { env });
    return told.then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };

  it('labels a collection and prints what could not be labelled', async () => {
    const photos = await makePhotos(workspace, 'photos', 12, 10);
    const { code, stdout, stderr } = await example(
      OPERATOR_TOKEN,
      photos,
      workspace.model,
      join(workspace.folder, 'labels'),
    );
    expect([code, stdout.split('\n')[0]]).toEqual([
      0,
      expect.stringMatching(/^r-\w{26} done: 12 images, 2 errors$/),
    ]);
    for (const index of [10, 11]) expect(stdout).toContain(`${photoName(index)}: `);
    expect(stdout.match(/\[IMAGE_FORMAT_UNKNOWN\]/g)).toHaveLength(2);
    expect(stderr).toMatch(/done 100 %/);
  });

  it('says why it is refused', async () => {
    const { code, stderr } = await example('wrong-token-0123456789', workspace.images, workspace.model, 'x');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^refused: expected a token .*\[UNAUTHENTICATED\]\n$/);
  });
});
