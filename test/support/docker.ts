import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ENGINE = new URL('../../scripts/docker-engine.sh', import.meta.url).pathname;
const LOCAL_IMAGES = new URL('../../scripts/local-images.sh', import.meta.url).pathname;
const REGISTRY_TIMEOUT_MS = 3_000;

/** What stands in for an image: from a registry where one can be reached, else made of this machine's packages. */
const IMAGES = {
  redis: { variable: 'IMAGEMILL_TEST_REDIS_IMAGE', public: 'redis:7.4.5-alpine' },
  node: { variable: 'IMAGEMILL_TEST_NODE_IMAGE', public: 'node:22-bookworm-slim' },
  s3: { variable: 'IMAGEMILL_TEST_S3_IMAGE', public: 'chrislusf/seaweedfs:4.48' },
} as const;

export type ImageName = keyof typeof IMAGES;

export interface DockerEngine {
  /** Lets go of the engine; one that tests have started ends with the last of them. */
  release(): Promise<void>;
}

/**
 * A Docker engine: the one that answers, or one that is started for the tests, within about two seconds. It is let go
 * however this process ends.
 * @returns null where there is none and none can be started
 */
export async function findDockerEngine(): Promise<DockerEngine | null> {
  const script = spawn(ENGINE, { stdio: ['pipe', 'pipe', 'ignore'] });
  const ready = await new Promise<boolean>((resolve) => {
    script.once('error', () => resolve(false));
    script.once('exit', () => resolve(false));
    createInterface(script.stdout).once('line', () => resolve(true));
  });
  return ready ? { release: () => endOf(script) } : null;
}

async function endOf(script: ChildProcess): Promise<void> {
  if (script.exitCode !== null || script.signalCode !== null) return;
  const exited = new Promise((resolve) => script.once('exit', resolve));
  script.stdin?.end();
  await exited;
}

let registry: Promise<boolean> | undefined;

/** Whether Docker Hub answers, whatever it says. */
export function reachesRegistry(): Promise<boolean> {
  registry ??= new Promise((resolve) => {
    const asked = request('https://registry-1.docker.io/v2/', { timeout: REGISTRY_TIMEOUT_MS }, (reply) => {
      reply.resume();
      resolve(true);
    });
    asked.once('timeout', () => asked.destroy(new Error('no answer')));
    asked.once('error', () => resolve(false));
    asked.end();
  });
  return registry;
}

/**
 * The name of an image that containers can be made of: of the environment variable where that is set, the public one
 * where a registry can be reached, else the local one, which is made where it is missing (in 4 to 9 seconds).
 */
export async function imageOf(name: ImageName): Promise<string> {
  const { variable, public: publicName } = IMAGES[name];
  const given = process.env[variable];
  if (given !== undefined && given !== '') return given;
  if (await reachesRegistry()) return publicName;
  await run(LOCAL_IMAGES, [name]);
  return `imagemill-local/${name}`;
}

/** Whether S3 in the fleet is the public image, which keeps what it gets, or the local one. */
export const usesPublicImages = async (): Promise<boolean> =>
  (process.env[IMAGES.s3.variable] ?? '') !== '' || (await reachesRegistry());

/**
 * Builds the worker's image as its Dockerfile says, in about a minute; seconds where nothing has changed.
 * @returns its name
 */
export async function buildWorkerImage(): Promise<string> {
  const base = await imageOf('node');
  const bases = ['--build-arg', `BUILD_IMAGE=${base}`].concat(
    // The public runtime image is one that has no Node of its own.
    base === IMAGES.node.public ? [] : ['--build-arg', `RUNTIME_IMAGE=${base}`],
  );
  const name = 'imagemill-test/worker';
  await docker('build', '-q', '-f', 'infra/docker/Dockerfile', ...bases, '-t', name, '.');
  return name;
}

/** Runs the Docker client in the root of the repository. @returns its standard output */
export async function docker(...args: string[]): Promise<string> {
  return (await run('docker', args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 })).stdout.trim();
}
