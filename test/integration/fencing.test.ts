import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commitDocument, type Commit } from '../../src/contract/ledger.ts';
import { RedisFence } from '../../src/queue/redis-fence.ts';
import { fencedStore } from '../../src/storage/fenced-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { runCli, startWorker } from '../support/cli.ts';
import { fakeRun } from '../support/fake-run.ts';
import { fileKind, freshStore, s3Kind, titleOf } from '../support/object-stores.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { rgwCredentials, rgwSettings } from '../support/rgw.ts';
import { S3Proxy } from '../support/s3-proxy.ts';
import { createWorkspace, smallModel, tinyPng, type Workspace } from '../support/workspace.ts';

const RACES = 1_000;
const RACES_AT_A_TIME = 20;
const { run } = fakeRun();

function commitOf(shard: number, token: string): Commit {
  return {
    schema: commitDocument.id,
    run,
    shard,
    token,
    worker: 'w',
    committedAt: new Date().toISOString(),
    part: { key: `parts/${shard}.${token}.jsonl`, bytes: 1, digest: 'sha256:22', rows: 10 },
    errors: null,
    items: 10,
    labelled: 10,
    errorsByCode: {},
    bytesRead: 100,
    seconds: 1,
    stages: { fetch: 1, decode: 2, compute: 3, write: 4 },
  };
}

/** Two attempts at each shard commit at once. @returns races with exactly one winner, which is what the store holds */
async function race(store: ObjectStore): Promise<number> {
  const [one, other] = [new RunLedger(store), new RunLedger(store)];
  let held = 0;
  for (let first = 0; first < RACES; first += RACES_AT_A_TIME) {
    const shards = Array.from({ length: RACES_AT_A_TIME }, (_, index) => first + index);
    const outcomes = await Promise.all(
      shards.map(async (shard) => {
        const tokens = ['attempt00a', 'attempt00b'];
        const standing = await Promise.all([
          one.commit(commitOf(shard, 'attempt00a')),
          other.commit(commitOf(shard, 'attempt00b')),
        ]);
        const stored = await one.findCommit(shard);
        const winners = tokens.filter((token, index) => standing[index]?.token === token);
        return winners.length === 1 && stored?.token === winners[0];
      }),
    );
    held += outcomes.filter(Boolean).length;
  }
  return held;
}

for (const kind of [fileKind(), s3Kind()]) {
  describe.skipIf(kind.missing !== null)(titleOf(kind), () => {
    beforeAll(() => kind.start(), 60_000);
    afterAll(() => kind.stop());

    it('gives each of a thousand races for a commit one winner', async () => {
      expect(await race(await freshStore(kind))).toBe(RACES);
    }, 120_000);
  });
}

const rgw = s3Kind();
describe.skipIf(rgw.missing !== null)(titleOf({ ...rgw, name: 'S3 behind a faulty network' }), () => {
  let proxy: S3Proxy;
  let redis: TestRedis;
  let uri: string;
  beforeAll(async () => {
    await rgw.start();
    proxy = await S3Proxy.start(rgw.server().endpoint);
    redis = await startRedis();
    uri = await rgw.freshUri();
  }, 60_000);
  afterAll(async () => {
    await proxy.stop();
    await redis.stop();
    await rgw.stop();
  });

  const resolver = () =>
    createStoreResolver({ s3: rgwSettings(proxy.endpoint), s3Credentials: rgwCredentials(rgw.server()) });

  it('recognises its own commit whose reply was lost', async () => {
    // Each of a client's retries costs it credit, which only successes give back: every shard has a client of its own.
    const commit = async (shard: number, token: string): Promise<string> => {
      const stores = resolver();
      const standing = await new RunLedger(stores.open(`${uri}lost/`)).commit(commitOf(shard, token));
      stores.close();
      return standing.token;
    };
    let lost = 0;
    // Of each commit the first try is carried out without an answer; the second one finds an object there.
    const seen = new Set<string>();
    proxy.decide = ({ method, url }) => {
      if (method !== 'PUT' || seen.has(url)) return 'pass';
      seen.add(url);
      lost += 1;
      return 'lose reply';
    };
    const shards = Array.from({ length: 100 }, (_, shard) => shard);
    const winners: string[] = [];
    for (const shard of shards) winners.push(await commit(shard, 'attempt00a'));
    expect(lost).toBe(shards.length);
    proxy.decide = () => 'pass';
    for (const shard of shards) winners.push(await commit(shard, 'attempt00b'));
    expect(winners).toEqual(Array.from({ length: 2 * shards.length }, () => 'attempt00a'));
  });

  it('fences a thousand races through Redis where the store has no conditional put', async () => {
    proxy.decide = ({ conditional }) => (conditional ? 'unsupported' : 'pass');
    const stores = resolver();
    const fence = new RedisFence({ redisUrl: redis.url, prefix: 'races' });
    expect(await race(fencedStore(stores.open(`${uri}fenced/`), fence))).toBe(RACES);
    await fence.close();
    stores.close();
  }, 120_000);

  it('runs end to end on such a store, and says so in run.json', async () => {
    proxy.decide = ({ conditional }) => (conditional ? 'unsupported' : 'pass');
    const workspace: Workspace = await createWorkspace(0);
    const stores = resolver();
    const place = stores.open(`${uri}run/`);
    for (let index = 0; index < 20; index += 1) await place.put(`images/${index}.png`, await tinyPng(index));
    await place.put('model.safetensors', smallModel());
    const { accessKey, secretKey } = rgw.server();
    const env = {
      ...workspace.env,
      REDIS_URL: redis.url,
      IMAGEMILL_HOME: `${uri}run/home/`,
      IMAGEMILL_S3_ENDPOINT: proxy.endpoint,
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: secretKey,
    };
    const worker = await startWorker(env);
    const done = await runCli(
      [
        'classify',
        `${uri}run/images/`,
        '--model',
        `${uri}run/model.safetensors`,
        '--out',
        `${uri}run/labels/`,
      ].concat(['--shard-size', '3', '--batch-size', '4', '--format', 'jsonl', '--json']),
      env,
    );
    worker.child.kill('SIGTERM');
    await worker.result;
    expect([done.code, done.stderr]).toEqual([0, expect.any(String)]);
    expect(JSON.parse(done.stdout)).toMatchObject({ items: 20, labelled: 20, shards: 7 });
    const ledger = new RunLedger(stores.open(`${uri}run/labels/`));
    expect((await ledger.readRun()).fencing).toBe('redis');
    stores.close();
    workspace.remove();
  }, 60_000);
});
