import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { runCli, startWorker, type CliProcess } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';
import { rgwMissing } from '../support/rgw.ts';
import { S3Proxy } from '../support/s3-proxy.ts';
import { until } from '../support/training.ts';
import { startServices, submission, type ChaosServices } from './services.ts';

const KILLS = 3;
const LIMIT_MS = 15_000;
/** Between the kills, so that each meets another moment between two renewals of the lock. */
const STAGGER_MS = 1_700;
const canRun = rgwMissing() === null;

describe.skipIf(!canRun)(titleNeeding('radosgw', canRun, 'recovery, with default settings'), () => {
  let services: ChaosServices;
  beforeAll(async () => {
    services = await startServices();
  }, 120_000);
  afterAll(() => services.stop());

  /** A worker whose image reads are seen, and slow where it is to be killed in the middle of a shard. */
  async function startSeen(env: Record<string, string>, latencyMs: number) {
    const proxy = await S3Proxy.start(services.rgw.endpoint);
    const seen = { proxy, reads: 0, worker: undefined as CliProcess | undefined };
    proxy.latencyMs = latencyMs;
    proxy.onRequest = ({ method, url }) => {
      if (method === 'GET' && url.includes('/images/') && url.includes('GetObject')) seen.reads += 1;
    };
    seen.worker = await startWorker({ ...env, IMAGEMILL_S3_ENDPOINT: proxy.endpoint });
    return { ...seen, reads: () => seen.reads, process: seen.worker };
  }

  it(`takes up the shards of a killed worker within ${LIMIT_MS / 1_000} s`, async () => {
    const times: number[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const env = {
        ...services.env,
        REDIS_URL: services.redis.url,
        IMAGEMILL_QUEUE_PREFIX: `recovery-${kill}`,
      };
      const out = `${services.root}recovery/${kill}/`;
      const victim = await startSeen(env, 400);
      const submitted = await runCli([...submission(services, 'classify', out), '--no-wait'], env);
      expect(submitted.code).toBe(0);
      await until(() => victim.reads() > 0);
      const other = await startSeen(env, 0);
      await sleep(kill * STAGGER_MS);
      const ledger = new RunLedger(services.resolver.open(out));
      victim.process.child.kill('SIGKILL');
      const killedAtMs = Date.now();
      await until(async () => (await ledger.state()) === 'done');
      times.push(Date.now() - killedAtMs);
      other.process.child.kill('SIGTERM');
      await Promise.all([victim.process.result, other.process.result]);
      await Promise.all([victim.proxy.stop(), other.proxy.stop()]);
    }
    const path = process.env['IMAGEMILL_RECOVERY_REPORT'];
    if (path !== undefined) appendFileSync(path, `${JSON.stringify(times)}\n`);
    expect(Math.max(...times), `killed worker's shards done after ${times.join(', ')} ms`).toBeLessThan(
      LIMIT_MS,
    );
  }, 180_000);
});
