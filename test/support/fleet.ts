import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildWorkerImage, docker, imageOf, usesPublicImages } from './docker.ts';
import { freePort } from './redis.ts';
import { rgwClient, type RgwServer } from './rgw.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HEALTHY_WITHIN_MS = 60_000;
const BUCKET_TRIES = 40;

export type Service = 'redis' | 's3' | 'worker' | 'dashboard';

export interface Fleet {
  readonly redisUrl: string;
  readonly redisPassword: string;
  readonly s3: Omit<RgwServer, 'stop'>;
  readonly bucket: string;
  /** Environment for commands on this machine that work with the fleet. */
  readonly env: Record<string, string>;
  /** `http://127.0.0.1:40123` */
  readonly dashboard: string;
  readonly dashboardToken: string;
  /** Id of the container of a service. */
  container(service: Service): Promise<string>;
  compose(...args: string[]): Promise<{ stdout: string; stderr: string }>;
  /** Stops everything, and removes containers, networks and volumes. */
  remove(): Promise<void>;
}

/** The command that runs Compose, of whatever version; null where there is none. */
export function findCompose(): [command: string, ...args: string[]] | null {
  const known: [string, ...string[]][] = [['docker', 'compose'], ['docker-compose']];
  for (const [command, ...args] of known) {
    try {
      execFileSync(command, [...args, 'version'], { stdio: 'ignore' });
      return [command, ...args];
    } catch {
      // The next one.
    }
  }
  return null;
}

/** Starts docker-compose.yml on free ports, as a project of its own, and waits until all of it is healthy. */
export async function startFleet(): Promise<Fleet> {
  const compose = findCompose();
  if (compose === null) throw new Error('no Compose');
  const isPublic = await usesPublicImages();
  const [redisPort, s3Port, dashboardPort] = [await freePort(), await freePort(), await freePort()];
  const redisPassword = randomBytes(16).toString('hex');
  const dashboardToken = randomBytes(16).toString('hex');
  const secretKey = randomBytes(16).toString('hex');
  const s3 = { endpoint: `http://127.0.0.1:${s3Port}`, accessKey: 'imagemill-test', secretKey };
  const bucket = 'imagemill-test';
  const variables = {
    REDIS_PASSWORD: redisPassword,
    REDIS_PORT: String(redisPort),
    REDIS_IMAGE: await imageOf('redis'),
    S3_ACCESS_KEY: s3.accessKey,
    S3_SECRET_KEY: secretKey,
    S3_PORT: String(s3Port),
    DASHBOARD_PORT: String(dashboardPort),
    DASHBOARD_TOKEN: dashboardToken,
    S3_BUCKET: bucket,
    S3_IMAGE: await imageOf('s3'),
    WORKER_CPUS: '1',
    WORKER_MEMORY: '2g',
    IMAGEMILL_IMAGE: await buildWorkerImage(),
  };
  const [command, ...before] = compose;
  const files = ['docker-compose.yml', ...(isPublic ? [] : ['infra/docker/compose.local.yml'])];
  const shared = [
    ...before,
    '-p',
    `imagemill-test-${process.pid}`,
    '--project-directory',
    '.',
    ...files.flatMap((file) => ['-f', file]),
  ];
  const fleet: Fleet = {
    redisUrl: `redis://imagemill:${redisPassword}@127.0.0.1:${redisPort}`,
    redisPassword,
    dashboard: `http://127.0.0.1:${dashboardPort}`,
    dashboardToken,
    s3,
    bucket,
    env: {
      REDIS_URL: `redis://imagemill:${redisPassword}@127.0.0.1:${redisPort}`,
      IMAGEMILL_HOME: `s3://${bucket}/home`,
      IMAGEMILL_S3_ENDPOINT: s3.endpoint,
      AWS_ACCESS_KEY_ID: s3.accessKey,
      AWS_SECRET_ACCESS_KEY: secretKey,
    },
    compose: (...args) =>
      run(command, [...shared, ...args], { cwd: ROOT, env: { ...process.env, ...variables } }),
    container: async (service) => (await fleet.compose('ps', '-q', service)).stdout.trim(),
    remove: async () => void (await fleet.compose('down', '-v', '--timeout', '20')),
  };
  try {
    await fleet.compose('up', '-d', '--no-build');
    for (const service of ['worker', 'dashboard'] as const) {
      await untilHealthy(await fleet.container(service));
    }
    await makeBucket(fleet);
  } catch (error) {
    await fleet.remove();
    throw error;
  }
  return fleet;
}

async function untilHealthy(container: string): Promise<void> {
  const deadline = Date.now() + HEALTHY_WITHIN_MS;
  let status = '';
  while (Date.now() < deadline) {
    status = await docker('inspect', '--format', '{{.State.Health.Status}}', container);
    if (status === 'healthy') return;
    await sleep(250);
  }
  throw new Error(`the container is ${status}: ${await docker('logs', container)}`);
}

/** The public S3 server makes its bucket itself, sometime after it is healthy. */
async function makeBucket({ s3, bucket }: Fleet): Promise<void> {
  const client = rgwClient({ ...s3, stop: async () => undefined });
  for (let tries = 1; ; tries += 1) {
    try {
      await client.createBucket({ Bucket: bucket });
      break;
    } catch (error) {
      if ((error as Error).name.startsWith('BucketAlready')) break;
      if (tries === BUCKET_TRIES) throw error;
      await sleep(250);
    }
  }
  client.destroy();
}
