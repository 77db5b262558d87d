import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkRedis } from '../../src/queue/connection.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { runCli } from '../support/cli.ts';
import { docker, findDockerEngine } from '../support/docker.ts';
import { findCompose, startFleet, type Fleet } from '../support/fleet.ts';
import { titleNeeding } from '../support/needs.ts';
import { rgwSettings } from '../support/rgw.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

const IMAGES = 300;
const SHARD_SIZE = 50;

// Whether they are there is part of the titles.
const engine = await findDockerEngine();
const missing = engine === null ? 'Docker' : findCompose() === null ? 'Docker Compose' : null;
let fleet: Fleet;
let workspace: Workspace;
let worker: string;

beforeAll(async () => {
  if (missing !== null) return;
  workspace = await createWorkspace(1);
  fleet = await startFleet();
  worker = await fleet.container('worker');
}, 600_000);

afterAll(async () => {
  await fleet?.remove();
  workspace?.remove();
  await engine?.release();
}, 90_000);

const inWorker = (...command: string[]) => docker('exec', worker, ...command);
const inspect = (container: string, format: string) => docker('inspect', '--format', format, container);
const test = it.skipIf(missing !== null);
const title = (text: string) => titleNeeding(missing ?? '', missing === null, text);

describe('the image of the worker', { timeout: 90_000 }, () => {
  const image = () => inspect(worker, '{{.Image}}');
  const inImage = async (entrypoint: string, ...args: string[]) =>
    docker('run', '--rm', '--entrypoint', entrypoint, await image(), ...args);
  const config = async () => docker('image', 'inspect', '--format', '{{json .Config}}', await image());

  test(title('holds exactly the packages it runs on, and nothing it is built or tested with'), async () => {
    const top = (await inImage('ls', '-A', '/app')).split('\n').sort();
    expect(top).toEqual(['LICENSE', 'dist', 'node_modules', 'package.json']);
    const manifests = (await inImage('find', '/app/node_modules', '-name', 'package.json')).split('\n');
    const present = new Set(manifests.map((path) => path.slice('/app/'.length, -'/package.json'.length)));
    const lock = JSON.parse(await readFile('package-lock.json', 'utf8')) as {
      packages: Record<string, { dev?: boolean; optional?: boolean }>;
    };
    const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
    const unwanted = locked.filter(([, { dev }]) => dev === true);
    const needed = locked.filter(([, { dev, optional }]) => dev !== true && optional !== true);
    expect(unwanted.length).toBeGreaterThan(100);
    expect(needed.length).toBeGreaterThan(20);
    expect(unwanted.filter(([path]) => present.has(path))).toEqual([]);
    expect(needed.filter(([path]) => !present.has(path))).toEqual([]);
  });

  test(title('holds no secret: no file that could be one, nothing of where it was built'), async () => {
    const names = ['.env*', '.npmrc', '.netrc', '.git', '.aws', '.docker', '*.pem', '*.key', 'id_*sa*'];
    const wanted = names.flatMap((name) => ['-o', '-name', name]).slice(1);
    expect(await inImage('find', '/app', '/tmp', '(', ...wanted, ')')).toBe('');
    expect(await config()).not.toMatch(/secret|token|passw|credential|access_?key/i);
    const history = await docker('history', '--no-trunc', '--format', '{{.CreatedBy}}', await image());
    for (const [name, value = ''] of Object.entries(process.env)) {
      if (!/secret|token|passw|key|auth/i.test(name) || value.length < 12) continue;
      expect(`${history} ${await config()}`.includes(value), name).toBe(false);
    }
  });

  test(title('starts Node itself, so that signals reach it, and not as root'), async () => {
    expect(JSON.parse(await config())).toMatchObject({
      User: '1000:1000',
      Entrypoint: ['node', '/app/dist/cli.js'],
      Cmd: ['worker', '--health-file', '/tmp/imagemill-worker-health'],
      StopSignal: 'SIGTERM',
      Healthcheck: { Test: ['CMD', 'healthcheck.sh', '/tmp/imagemill-worker-health'] },
    });
  });
});

describe('the fleet of docker-compose.yml', { timeout: 90_000 }, () => {
  test(title('labels a bucket, submitted by the command in the image, each image once'), async () => {
    const { s3, bucket } = fleet;
    const store = createStoreResolver({
      s3: rgwSettings(s3.endpoint),
      s3Credentials: { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey },
    }).open(`s3://${bucket}`);
    await store.put('model.safetensors', await readFile(workspace.model));
    await Promise.all(
      Array.from({ length: IMAGES }, async (_, index) =>
        store.put(`photos/${index}.png`, await tinyPng(index)),
      ),
    );
    const stdout = await inWorker(
      ...['node', '/app/dist/cli.js', 'classify', `s3://${bucket}/photos/`, '--json'].concat([
        '--model',
        `s3://${bucket}/model.safetensors`,
        '--out',
        `s3://${bucket}/labels`,
        '--shard-size',
        String(SHARD_SIZE),
      ]),
    );
    const report = { state: 'done', items: IMAGES, labelled: IMAGES, errors: 0, shards: IMAGES / SHARD_SIZE };
    expect(JSON.parse(stdout)).toMatchObject(report);
    const rows = await runCli(['results', `s3://${bucket}/labels`], fleet.env);
    const uris = rows.stdout.trimEnd().split('\n');
    const names = uris.map((line) => (JSON.parse(line) as { uri: string }).uri);
    expect(names).toHaveLength(IMAGES);
    expect(new Set(names).size).toBe(IMAGES);
    const commit = JSON.parse(new TextDecoder().decode(await store.get('labels/commits/000000.json'))) as {
      worker: string;
    };
    // Nobody but the container did the work.
    expect(commit.worker).toBe(`${worker.slice(0, 12)}-1`);
  });

  test(title('shows its run, labels and pictures in the dashboard, to who has the token'), async () => {
    expect((await fetch(`${fleet.dashboard}/api/v1/runs`)).status).toBe(401);
    const headers = { authorization: `Bearer ${fleet.dashboardToken}` };
    const ask = (path: string) => fetch(fleet.dashboard + path, { headers });
    const list = (await (await ask('/api/v1/runs')).json()) as { runs: { run: string; kind: string }[] };
    const run = list.runs.find(({ kind }) => kind === 'classify')?.run ?? '';
    const detail = (await (await ask(`/api/v1/runs/${run}`)).json()) as { overview: object };
    expect(detail.overview).toMatchObject({ state: 'done', items: IMAGES, errors: 0 });
    const picture = await ask(`/api/v1/runs/${run}/pictures/thumbnail/0/0/0`);
    expect([picture.status, picture.headers.get('content-type')]).toEqual([200, 'image/webp']);
  });

  test(
    title('runs its worker without root, without capabilities, on a root file system that is read-only'),
    async () => {
      const status = await inWorker('cat', '/proc/1/status');
      expect(status).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
      expect(status).toMatch(/^Gid:\t1000\t1000\t1000\t1000$/m);
      expect(status).toMatch(/^CapBnd:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      for (const path of ['/written', '/app/written', '/usr/local/bin/written', '/var/tmp/written']) {
        await expect(inWorker('touch', path)).rejects.toThrow('Read-only file system');
      }
      await inWorker('touch', '/tmp/written');
    },
  );

  test(title('limits each of its containers, and starts it again when it fails'), async () => {
    for (const service of ['redis', 's3', 'worker', 'dashboard'] as const) {
      const host = JSON.parse(await inspect(await fleet.container(service), '{{json .HostConfig}}')) as {
        [limit: string]: unknown;
      };
      expect(host).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'] });
      expect(host['RestartPolicy']).toMatchObject({ Name: 'unless-stopped' });
      expect(host['SecurityOpt']).toEqual(['no-new-privileges:true']);
      for (const limit of ['Memory', 'NanoCpus', 'PidsLimit']) expect(host[limit]).toBeGreaterThan(0);
    }
  });

  test(title('keeps Redis to those who have the password, and the password to queues'), async () => {
    const anonymous = fleet.redisUrl.replace(/\/\/.*@/, '//');
    await expect(checkRedis({ redisUrl: anonymous })).rejects.toThrow('refuses the credentials');
    const redis = await fleet.container('redis');
    const ask = (...command: string[]) =>
      docker(
        'exec',
        '-e',
        `REDISCLI_AUTH=${fleet.redisPassword}`,
        redis,
        'redis-cli',
        '--user',
        'imagemill',
        ...command,
      );
    expect(await ask('ping')).toBe('PONG');
    for (const command of [['flushall'], ['config', 'get', '*'], ['keys', '*'], ['get', 'else']]) {
      expect(await ask(...command)).toMatch(/^NOPERM/);
    }
    // Neither arguments nor the image give it away.
    expect(await docker('top', redis)).not.toContain(fleet.redisPassword);
  });

  test(
    title('has a worker that is healthy, and that ends at SIGTERM with its work handed back'),
    async () => {
      expect(await inspect(worker, '{{.State.Health.Status}}')).toBe('healthy');
      await inWorker('healthcheck.sh', '/tmp/imagemill-worker-health');
      await docker('stop', '--time', '30', worker);
      // 143 or 137 would be a process that did not listen.
      expect(await inspect(worker, '{{.State.ExitCode}}')).toBe('0');
      expect((await fleet.compose('logs', 'worker')).stdout).toMatch(/worker \S+ stopped/);
    },
  );
});
