import { afterAll, beforeAll, expect, it } from 'vitest';
import { readFile } from 'node:fs/promises';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { runCli } from '../support/cli.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import {
  createBucket,
  rgwCredentials,
  rgwMissing,
  rgwSettings,
  startRgw,
  type RgwServer,
} from '../support/rgw.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

const MISSING = rgwMissing();
const IMAGES = 120;

let server: RgwServer;
let redis: TestRedis;
let workspace: Workspace;
let bucket: string;
let store: ObjectStore;
let env: Record<string, string>;

beforeAll(async () => {
  if (MISSING !== null) return;
  [server, redis, workspace] = await Promise.all([startRgw(), startRedis(), createWorkspace(1)]);
  bucket = await createBucket(server);
  const settings = { s3: rgwSettings(server.endpoint), s3Credentials: rgwCredentials(server) };
  store = createStoreResolver(settings).open(`s3://${bucket}`);
  await store.put('models/small.safetensors', await readFile(workspace.model));
  for (let index = 0; index < IMAGES; index += 1) {
    await store.put(`photos/${index % 3}/${index} ü+%.png`, await tinyPng(index));
  }
  await store.put('photos/0/broken.png', new Uint8Array([1, 2, 3]));
  env = {
    IMAGEMILL_HOME: `s3://${bucket}/home`,
    IMAGEMILL_S3_ENDPOINT: server.endpoint,
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
  };
}, 120_000);

afterAll(async () => {
  if (MISSING !== null) return;
  workspace.remove();
  await Promise.all([redis.stop(), server.stop()]);
});

const title = 'labels a bucket into a bucket, with model, ledger and index of runs in the same store';

it.skipIf(MISSING !== null)(
  MISSING === null ? title : `${title} (skipped: needs ${MISSING})`,
  async () => {
    const out = `s3://${bucket}/labels`;
    const { code, stdout, stderr } = await runCli(
      [
        'classify',
        `s3://${bucket}/photos/`,
        '--model',
        `s3://${bucket}/models/small.safetensors`,
        '--out',
        out,
      ].concat(['--json', '--shard-size', '50']),
      env,
    );
    expect(stderr).toBe('');
    expect(code).toBe(3);
    const report = JSON.parse(stdout) as { run: string };
    expect(report).toMatchObject({
      items: IMAGES + 1,
      labelled: IMAGES,
      errors: 1,
      shards: 3,
      out: `${out}/`,
    });
    const rows = await runCli(['results', report.run], env);
    const uris = rows.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { uri: string }).uri);
    expect(uris).toHaveLength(IMAGES);
    expect(new Set(uris).size).toBe(IMAGES);
    expect(uris).toContain(`s3://${bucket}/photos/1/1 ü+%.png`);
    // Neither the credentials nor anything that could reveal them is in the ledger.
    for await (const page of store.list('labels/')) {
      for (const { key } of page) {
        expect(new TextDecoder().decode(await store.get(key))).not.toContain(server.secretKey);
      }
    }
  },
  120_000,
);

const retryTitle = 'labels what was repaired in the bucket again, as a generation of the run';

it.skipIf(MISSING !== null)(
  MISSING === null ? retryTitle : `${retryTitle} (skipped: needs ${MISSING})`,
  async () => {
    const out = `s3://${bucket}/labels`;
    await store.put('photos/0/broken.png', await tinyPng(IMAGES));
    const { code, stdout, stderr } = await runCli(['retry', out, '--failed', '--json'], env);
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ labelled: IMAGES + 1, errors: 0, generation: 1 });
    const { stdout: rows } = await runCli(['results', out], env);
    expect(rows.trimEnd().split('\n').at(-1)).toContain(`s3://${bucket}/photos/0/broken.png`);
  },
  120_000,
);

it.skipIf(MISSING !== null)(
  MISSING === null
    ? 'refuses wrong credentials in one line'
    : `refuses wrong credentials (skipped: needs ${MISSING})`,
  async () => {
    const { code, stderr } = await runCli(
      ['classify', `s3://${bucket}/photos/`, '--model', workspace.model, '--out', workspace.folder],
      { ...env, AWS_SECRET_ACCESS_KEY: 'hunter2hunter2' },
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/\[STORE_ACCESS_DENIED\]$/m);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).not.toContain('hunter2');
  },
  60_000,
);
