import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoreResolver } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { runCli } from '../support/cli.ts';
import { writeClasses } from '../support/datasets.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createBucket, rgwCredentials, rgwSettings, startRgw, type RgwServer } from '../support/rgw.ts';
import { smallModel, tinyPng } from '../support/workspace.ts';
import { WORKLOADS, type Workload } from './plan.ts';

export const IMAGES = 200;
const SHARD_SIZE = 10;
/** Objects that are no images: their error rows have to be exactly-once as well. */
const BROKEN = 7;
const CLASS_IMAGES = 40;

/** Redis and S3 for many runs of the chaos suite, with what the runs read and what calm runs made of it. */
export interface ChaosServices {
  readonly redis: TestRedis;
  readonly rgw: RgwServer;
  readonly resolver: StoreResolver;
  /** `s3://bucket/` */
  readonly root: string;
  readonly folder: string;
  /** Environment of a command that talks to the store without a proxy; without REDIS_URL. */
  readonly env: Record<string, string>;
  /** The run's directory of the calm run of a workload. */
  calmOut(workload: Workload): string;
  stop(): Promise<void>;
}

export async function startServices(): Promise<ChaosServices> {
  const [redis, rgw] = await Promise.all([startRedis(), startRgw()]);
  const resolver = createStoreResolver({
    s3: rgwSettings(rgw.endpoint),
    s3Credentials: rgwCredentials(rgw),
  });
  const root = `s3://${await createBucket(rgw)}/`;
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-chaos-'));
  const services: ChaosServices = {
    redis,
    rgw,
    resolver,
    root,
    folder,
    env: {
      IMAGEMILL_HOME: join(folder, 'home'),
      IMAGEMILL_S3_ENDPOINT: rgw.endpoint,
      AWS_ACCESS_KEY_ID: rgw.accessKey,
      AWS_SECRET_ACCESS_KEY: rgw.secretKey,
      // Several processes share two cores here.
      IMAGEMILL_ENGINE_THREADS: '1',
      IMAGEMILL_DECODE_CONCURRENCY: '1',
    },
    calmOut: (workload) => `${root}calm/${workload}/`,
    stop: async () => {
      resolver.close();
      await Promise.all([redis.stop(), rgw.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await prepareInputs(services);
  for (const workload of WORKLOADS) {
    await must(submission(services, workload, services.calmOut(workload)), services.env);
  }
  return services;
}

async function prepareInputs({ resolver, root, folder, env }: ChaosServices): Promise<void> {
  const store = resolver.open(root);
  for (let index = 0; index < IMAGES; index += 1) {
    const name = `images/${String(index).padStart(4, '0')}.png`;
    const isBroken = index % Math.floor(IMAGES / BROKEN) === 3;
    await store.put(name, isBroken ? Buffer.from('<html>404</html>') : await tinyPng(index));
  }
  await store.put('model.safetensors', smallModel());
  await writeClasses(join(folder, 'classes'), ['bars', 'dots'], CLASS_IMAGES);
  await must(
    ['prepare', join(folder, 'classes'), '--out', `${root}dataset/`, '--short-side', '16', '--format', 'png'],
    env,
  );
}

/** The command that submits a workload. */
export function submission({ root }: Pick<ChaosServices, 'root'>, workload: Workload, out: string): string[] {
  return workload === 'classify'
    ? ['classify', `${root}images/`, '--model', `${root}model.safetensors`, '--out', out].concat(
        ['--shard-size', String(SHARD_SIZE), '--batch-size', '4', '--top-k', '3', '--format', 'jsonl'],
        ['--json'],
      )
    : ['train', `${root}dataset/`, '--out', out, '--recipe', 'alexnet-small', '--epochs', '2'].concat([
        '--batch-size',
        '8',
        '--checkpoint-steps',
        '3',
        '--set',
        'learningRate=0.005',
        '--json',
      ]);
}

async function must(args: string[], env: Record<string, string>): Promise<void> {
  const { code, stderr } = await runCli(args, env);
  // 3: done, with the errors that are meant to be there.
  if (code !== 0 && code !== 3) throw new Error(`imagemill ${args.join(' ')} ended with ${code}: ${stderr}`);
}
