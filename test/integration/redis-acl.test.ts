import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisFence } from '../../src/queue/redis-fence.ts';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { PASSWORDS, startProductionRedis, type ProductionRedis } from '../support/production-redis.ts';
import { freePort } from '../support/redis.ts';
import { createTrainingWorkspace, trainArgs, until, type TrainingWorkspace } from '../support/training.ts';
import { smallModel } from '../support/workspace.ts';

const IMAGES = 150;
/** In scripts Redis 7.0 puts it in words; MODULE and DEBUG are off whoever asks. */
const REFUSAL = /^NOPERM|user executing the script can't|command not allowed/;

let redis: ProductionRedis;
let workspace: TrainingWorkspace;
let model: string;
let worker: CliProcess;
let producerEnv: Record<string, string>;

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startProductionRedis(), createTrainingWorkspace()]);
  model = join(workspace.folder, 'model.safetensors');
  writeFileSync(model, smallModel());
  producerEnv = { ...workspace.env, REDIS_URL: redis.urlOf('producer') };
  worker = await startWorker({ ...workspace.env, REDIS_URL: redis.urlOf('worker') });
}, 60_000);

afterAll(async () => {
  worker.child.kill('SIGKILL');
  await redis.stop();
  workspace.remove();
});

const classifyArgs = (out: string, ...more: string[]) =>
  ['classify', workspace.images, '--model', model, '--out', join(workspace.folder, out), '--json'].concat(
    ['--shard-size', '25', '--limit', String(IMAGES)],
    more,
  );

/** One line, exit code 2, and no password in it. */
function expectRefusal({ code, stdout, stderr }: Awaited<CliProcess['result']>, pattern: RegExp): void {
  expect(stderr).toMatch(pattern);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect([code, stdout]).toEqual([2, '']);
  for (const password of Object.values(PASSWORDS)) expect(stderr).not.toContain(password);
}

describe('the users of infra/redis/users.acl', { timeout: 60_000 }, () => {
  it('let a worker and a producer do a whole run, and cancel another', async () => {
    const done = await runCli(classifyArgs('labels'), producerEnv);
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(JSON.parse(done.stdout)).toMatchObject({ state: 'done', items: IMAGES, labelled: IMAGES });
    const out = join(workspace.folder, 'cancelled');
    expect((await runCli(classifyArgs('cancelled', '--no-wait'), producerEnv)).code).toBe(0);
    expect((await runCli(['cancel', out], producerEnv)).stdout).toMatch(/cancelled|is done already/);
    const status = await runCli(['status', out, '--json'], producerEnv);
    expect(JSON.parse(status.stdout)).toMatchObject({
      state: expect.stringMatching(/^(cancelled|done)$/) as string,
    });
    expect(worker.stderr()).not.toMatch(/NOPERM|permission/);
  });

  it('let a scheduled run train, while the schedule is listed and removed', async () => {
    const out = join(workspace.folder, 'nightly');
    const cron = ['--epochs', '1', '--batch-size', '64', '--cron', '*/2 * * * * *'];
    const scheduled = await runCli(trainArgs(workspace.dataset, out, ...cron), producerEnv);
    expect([scheduled.code, scheduled.stderr]).toEqual([0, '']);
    const { schedule } = JSON.parse(scheduled.stdout) as { schedule: string };
    expect((await runCli(['schedules'], producerEnv)).stdout).toContain(schedule);
    await until(() => readdirIfThere(out).length > 0);
    expect((await runCli(['schedules', '--remove', schedule], producerEnv)).code).toBe(0);
    await until(() => readdirIfThere(join(out, readdirIfThere(out)[0] ?? '')).includes('summary.json'));
    expect(worker.stderr()).not.toMatch(/NOPERM|permission/);
  });

  it('let a worker hand its shards back at SIGTERM, and another do them', async () => {
    const run = startCli(classifyArgs('handover', '--top-k', '1'), producerEnv);
    await until(() => readdirIfThere(join(workspace.folder, 'handover', 'parts')).length > 0);
    worker.child.kill('SIGTERM');
    expect((await worker.result).code).toBe(0);
    expect(worker.stderr()).not.toMatch(/NOPERM|permission/);
    worker = await startWorker({ ...workspace.env, REDIS_URL: redis.urlOf('worker') });
    expect((await run.result).code).toBe(0);
  });

  it('let a worker claim through Redis, and a producer not take a job', async () => {
    const fence = new RedisFence({ redisUrl: redis.urlOf('worker'), prefix: 'imagemill' });
    const value = new TextEncoder().encode('first');
    expect(await fence.claim('s3://b/commits/0', value)).toEqual(Buffer.from(value));
    await fence.settle('s3://b/commits/0');
    expect(await fence.claim('s3://b/commits/0', value)).toBeNull();
    await fence.close();
    const producer = redis.connect('producer');
    await expect(producer.bzpopmin('imagemill:classify:marker', 1)).rejects.toThrow(/NOPERM/);
    producer.disconnect();
  });

  it.each(['worker', 'producer'] as const)('refuse a %s every other command and key', async (user) => {
    const client = redis.connect(user);
    const refused = [
      ['FLUSHALL'],
      ['FLUSHDB'],
      ['CONFIG', 'GET', '*'],
      ['CONFIG', 'SET', 'dir', '/tmp'],
      ['KEYS', '*'],
      ['SCAN', '0'],
      ['RANDOMKEY'],
      ['DBSIZE'],
      ['GET', 'other:key'],
      ['SET', 'other:key', '1'],
      ['EVAL', 'return redis.call("GET", KEYS[1])', '1', 'other:key'],
      ['EVAL', 'return redis.call("GET", "other:key")', '0'],
      ['EVAL', 'return redis.call("KEYS", "*")', '0'],
      ['EVAL', 'return redis.call("FLUSHALL")', '0'],
      ['SCRIPT', 'FLUSH'],
      ['FUNCTION', 'LIST'],
      ['MODULE', 'LOAD', '/tmp/x.so'],
      ['ACL', 'LIST'],
      ['ACL', 'SETUSER', 'imagemill-worker', '+@all'],
      ['DEBUG', 'SLEEP', '0'],
      ['MONITOR'],
      ['SHUTDOWN'],
      ['REPLICAOF', 'other', '6379'],
      ['MIGRATE', 'other', '6379', 'imagemill:x', '0', '10'],
      ['CLIENT', 'KILL', 'ID', '1'],
      ['CLIENT', 'LIST'],
      ['PUBLISH', 'channel', 'x'],
      ['SUBSCRIBE', 'channel'],
      ['RENAME', 'imagemill:x', 'imagemill:y'],
      ['SORT', 'imagemill:x', 'BY', 'other:*', 'GET', 'other:*'],
    ] as const;
    const answers = await Promise.all(
      refused.map(([command, ...args]) =>
        client.call(command, ...args).then(
          () => `${command} was allowed`,
          (error: Error) => (REFUSAL.test(error.message) ? 'refused' : `${command}: ${error.message}`),
        ),
      ),
    );
    expect(answers).toEqual(refused.map(() => 'refused'));
    client.disconnect();
  });

  it('refuse whoever gives no password, or a wrong one, in one line', async () => {
    const [none, wrong, default_] = await Promise.all([
      runCli(classifyArgs('refused'), { ...producerEnv, REDIS_URL: `redis://localhost:${redis.port}` }),
      runCli(classifyArgs('refused'), {
        ...producerEnv,
        REDIS_URL: redis.urlOf('producer', PASSWORDS.worker),
      }),
      runCli(['worker'], { ...producerEnv, REDIS_URL: `redis://:guess@localhost:${redis.port}` }),
    ]);
    const pattern = new RegExp(
      `^imagemill: Redis at localhost:${redis.port} refuses the credentials of REDIS_URL \\[REDIS_REFUSED\\]\n$`,
    );
    for (const result of [none, wrong, default_]) expectRefusal(result, pattern);
    expect(readdirIfThere(join(workspace.folder, 'refused'))).toEqual([]);
  });

  it('say before anything is written what another prefix lacks', async () => {
    const env = { ...producerEnv, IMAGEMILL_QUEUE_PREFIX: 'elsewhere' };
    const pattern =
      /^imagemill: Redis at .* does not let the user of REDIS_URL .*NOPERM.*\[REDIS_REFUSED\]\n$/;
    expectRefusal(await runCli(classifyArgs('refused'), env), pattern);
    expectRefusal(await runCli(['worker'], env), pattern);
    expect(readdirIfThere(join(workspace.folder, 'refused'))).toEqual([]);
  });
});

it('infra/redis/users.acl has no password anyone could know, and does not load before it is given some', async () => {
  const port = await freePort();
  const path = fileURLToPath(new URL('../../infra/redis/users.acl', import.meta.url));
  const acl = readFileSync(path, 'utf8');
  expect(acl).toMatch(/^user default off /);
  expect(acl).not.toMatch(/[ ](>|nopass)/);
  // Redis takes nothing but 64 hexadecimal digits for a digest.
  for (const [, digest] of acl.matchAll(/ #(\S+)/g))
    expect(digest).toMatch(/^(WORKER|PRODUCER|ADMIN)_PASSWORD_SHA256$/);
  expect(acl.match(/ #\S+/g)).toHaveLength(3);
  const started = spawnSync(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--aclfile', path],
    {
      timeout: 10_000,
      encoding: 'utf8',
    },
  );
  expect([started.status, started.signal]).toEqual([1, null]);
  expect(started.stdout).toMatch(/Aborting Redis startup because of ACL errors/);
});

function readdirIfThere(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
