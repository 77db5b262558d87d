import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';
import { PASSWORDS, startProductionRedis, type ProductionRedis } from '../support/production-redis.ts';
import {
  createBucket,
  rgwCredentials,
  rgwMissing,
  rgwSettings,
  startRgw,
  type RgwServer,
} from '../support/rgw.ts';
import { until } from '../support/training.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

const MISSING = rgwMissing();
const IMAGES = 60;

const SECRETS = {
  s3: 'Zq9/rgwSecret+4c/b1=77aa',
  wrong: 'Wx3/wrongSecret+9d/e2=51bb',
  token: 'Tk5/sessionToken+6e/f3=88cc==',
  userInfo: 'Uj7endpointPassword99dd',
  ...PASSWORDS,
};
/** What is made of secrets to sign a request tells less than they do, and is nobody's business either. */
const SIGNATURES = ['AWS4-HMAC-SHA256', 'X-Amz-Signature', 'x-amz-security-token'];

/** Every form in which a secret may lie about. */
const NEEDLES = Object.values(SECRETS)
  .flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
    Buffer.from(secret).toString('hex'),
  ])
  .concat(SIGNATURES);

/** Everything that was said or written, by where it was found. */
const found = new Map<string, string>();

let server: RgwServer;
let redis: ProductionRedis;
let workspace: Workspace;
let bucket: string;
let store: ObjectStore;
let env: Record<string, string>;
let worker: CliProcess;

beforeAll(async () => {
  if (MISSING !== null) return;
  process.env['RGW_SECRET_KEY'] = SECRETS.s3;
  [server, redis, workspace] = await Promise.all([startRgw(), startProductionRedis(), createWorkspace(1)]);
  bucket = await createBucket(server);
  const settings = { s3: rgwSettings(server.endpoint), s3Credentials: rgwCredentials(server) };
  store = createStoreResolver(settings).open(`s3://${bucket}`);
  await store.put('small.safetensors', readFileSync(workspace.model));
  for (let index = 0; index < IMAGES; index += 1)
    await store.put(`photos/${index}.png`, await tinyPng(index));
  await store.put('photos/broken.png', new Uint8Array([1, 2, 3]));
  env = {
    REDIS_URL: redis.urlOf('producer'),
    IMAGEMILL_HOME: `s3://${bucket}/home`,
    IMAGEMILL_S3_ENDPOINT: server.endpoint,
    IMAGEMILL_LOG_LEVEL: 'trace',
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    // This server does not look at it.
    AWS_SESSION_TOKEN: SECRETS.token,
  };
  worker = await startWorker({ ...env, REDIS_URL: redis.urlOf('worker'), IMAGEMILL_LOCK_MS: '2000' });
}, 60_000);

afterAll(async () => {
  if (MISSING !== null) return;
  worker.child.kill('SIGKILL');
  workspace.remove();
  await Promise.all([redis.stop(), server.stop()]);
});

const args = (out: string, source = `s3://${bucket}/photos/`) =>
  [
    'classify',
    source,
    '--model',
    `s3://${bucket}/small.safetensors`,
    '--out',
    `s3://${bucket}/${out}`,
  ].concat(['--json', '--shard-size', '10']);

/** Runs a command to its end and keeps what it says, and the arguments of its processes meanwhile. */
async function attempt(
  name: string,
  argv: readonly string[],
  extra: Record<string, string> = {},
  given: 'as told' | 'free of secrets' = 'free of secrets',
) {
  const command = startCli(argv, { ...env, ...extra });
  if (given === 'free of secrets') {
    await sleep(100);
    keepArguments(name, command.child.pid);
  }
  const result = await command.result;
  found.set(`${name}: stdout`, result.stdout);
  found.set(`${name}: stderr`, result.stderr);
  return result;
}

function processesBelow(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [
    pid,
    ...(children === '' ? [] : children.split(/\s+/)).flatMap((child) => processesBelow(Number(child))),
  ];
}

function keepArguments(name: string, pid: number | undefined): number[] {
  if (pid === undefined || !existsSync(`/proc/${pid}`)) return [];
  const pids = processesBelow(pid);
  for (const below of pids) {
    found.set(`${name}: arguments of ${below}`, readFileSync(`/proc/${below}/cmdline`, 'utf8'));
  }
  return pids;
}

async function keepRedis(client: Redis): Promise<void> {
  const readers: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => client.get(key),
    hash: (key) => client.hgetall(key),
    list: (key) => client.lrange(key, 0, -1),
    set: (key) => client.smembers(key),
    zset: (key) => client.zrange(key, '0', '-1'),
    stream: (key) => client.xrange(key, '-', '+'),
  };
  let cursor = '0';
  do {
    const [next, keys] = await client.scan(cursor, 'COUNT', 1_000);
    for (const key of keys) {
      const value = await readers[await client.type(key)]?.(key);
      found.set(`Redis: ${key}`, `${key} ${texts(value).join('\n')}`);
    }
    cursor = next;
  } while (cursor !== '0');
  // Also what is no longer there was written once.
  const history = join(redis.folder, 'appendonlydir');
  for (const file of readdirSync(history))
    found.set(`Redis: ${file}`, readFileSync(join(history, file), 'latin1'));
}

function texts(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => texts(each));
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap((each) => texts(each));
  return [String(value)];
}

async function keepStore(): Promise<void> {
  for await (const page of store.list('')) {
    for (const { key } of page)
      found.set(`store: ${key}`, `${key} ${Buffer.from(await store.get(key)).toString('latin1')}`);
  }
}

function keepFolder(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, entry);
    if (statSync(path).isFile()) found.set(`file: ${entry}`, readFileSync(path, 'latin1'));
  }
}

function leaks(): string[] {
  return [...found].flatMap(([where, text]) =>
    NEEDLES.filter((needle) => text.includes(needle)).map((needle) => `${needle} in ${where}`),
  );
}

describe.skipIf(MISSING !== null)(
  titleNeeding(MISSING ?? '', MISSING === null, 'secrets'),
  { timeout: 60_000 },
  () => {
    it('are in nothing that runs say or leave, be they done, refused or broken', async () => {
      const done = attempt('done', args('labels/'));
      await until(() => worker.stderr().includes('shard done'));
      const pids = keepArguments('worker', worker.child.pid);
      expect(pids).toHaveLength(2);
      expect((await done).code).toBe(3);

      const outcomes = await Promise.all([
        attempt('wrong secret', args('a/'), { AWS_SECRET_ACCESS_KEY: SECRETS.wrong }),
        attempt('user info in the endpoint', args('c/'), {
          IMAGEMILL_S3_ENDPOINT: `http://user:${SECRETS.userInfo}@127.0.0.1:9`,
        }),
        attempt('nobody at the endpoint', args('d/'), { IMAGEMILL_S3_ENDPOINT: 'http://127.0.0.1:9' }),
        attempt('wrong password', args('e/'), { REDIS_URL: redis.urlOf('producer', SECRETS.wrong) }),
        attempt('worker with a wrong password', ['worker'], {
          REDIS_URL: redis.urlOf('worker', SECRETS.wrong),
        }),
        // As it is often pasted, not percent-encoded.
        attempt('password as it is', ['worker'], {
          REDIS_URL: `redis://user:12#${SECRETS.wrong}@127.0.0.1:${redis.port}`,
        }),
        // Who passes a secret as an argument has shown it to everyone on the machine; we do not repeat it.
        attempt('secret in a uri', args('f/', `s3://AKIA:${SECRETS.wrong}@${bucket}/photos/`), {}, 'as told'),
        attempt('secret in the home', args('g/'), {
          IMAGEMILL_HOME: `s3://AKIA:${SECRETS.wrong}@${bucket}/home`,
        }),
        attempt(
          'secret in a model',
          ['model', 'info', `https://user:${SECRETS.userInfo}@host/model.onnx`],
          {},
          'as told',
        ),
      ]);
      expect(outcomes.map(({ code }) => code)).toEqual(outcomes.map(() => 2));
      for (const { stderr } of outcomes) expect(stderr).toMatch(/^imagemill: [^\n]* \[[A-Z_\d]+\]\n$/);
      expect(leaks()).toEqual([]);
    });

    it('are in no log of a worker that loses its password while it works', async () => {
      const client = redis.connect('admin');
      await client.call('ACL', 'SETUSER', 'imagemill-worker', 'resetpass', '>another');
      await client.call('CLIENT', 'KILL', 'USER', 'imagemill-worker');
      // Both what BullMQ logs and what a command of ours that had to wait tells.
      await until(() => worker.stderr().includes('WRONGPASS'));
      await client.call('ACL', 'SETUSER', 'imagemill-worker', 'resetpass', `>${PASSWORDS.worker}`);
      const { code } = await attempt('after the password is back', args('after/'));
      expect(code).toBe(3);
      worker.child.kill('SIGTERM');
      await worker.result;
      found.set('worker: stderr', worker.stderr());
      await keepRedis(client);
      client.disconnect();
      expect(leaks()).toEqual([]);
    });

    it('are in no object of the ledgers and of the index of runs', async () => {
      await keepStore();
      keepFolder(workspace.folder);
      expect(leaks()).toEqual([]);
      // What was searched is what there is.
      const places = [...found.keys()];
      for (const place of [
        'store: labels/run.json',
        'store: labels/commits/',
        'store: home/runs/',
        'Redis: imagemill:classify:',
      ]) {
        expect(
          places.some((key) => key.startsWith(place)),
          place,
        ).toBe(true);
      }
      expect(found.get('worker: stderr')).toContain('shard done');
      found.set('planted', `xx ${encodeURIComponent(SECRETS.producer)} xx`);
      expect(leaks()).toHaveLength(1);
      found.delete('planted');
    });

    it('of Redis are not in the environment of the process that opens images', async () => {
      const tokens = {
        IMAGEMILL_TOKEN: 'operator-of-the-board',
        IMAGEMILL_VIEWER_TOKEN: 'viewer-of-the-board',
      };
      const other = await startWorker({ ...env, ...tokens, REDIS_URL: redis.urlOf('worker') });
      const [, compute = 0] = processesBelow(other.child.pid ?? 0);
      const environment = readFileSync(`/proc/${compute}/environ`, 'utf8');
      other.child.kill('SIGKILL');
      expect(environment).toContain('AWS_SECRET_ACCESS_KEY=');
      expect(environment).not.toContain('REDIS');
      expect(environment).not.toContain('of-the-board');
    });
  },
);
