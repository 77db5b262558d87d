import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ImagemillError } from '../contract/errors.ts';
import { checkRedis } from './connection.ts';

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 2_000;

export interface EmbeddedRedis {
  /** `unix://…`: reachable by this user alone. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Checks that an embedded Redis could be started, without starting it.
 * @throws ImagemillError REDIS_SERVER_MISSING
 */
export async function checkEmbeddedRedis(): Promise<void> {
  try {
    await promisify(execFile)('redis-server', ['--version'], { timeout: START_TIMEOUT_MS });
  } catch {
    throw new ImagemillError(
      'REDIS_SERVER_MISSING',
      'expected REDIS_URL or an installed redis-server, found neither: set REDIS_URL, or `apt-get install redis-server`',
    );
  }
}

/**
 * Starts a private redis-server on a Unix socket, in a temporary folder that goes with it.
 * Nothing is persisted: the ledger can rebuild the queue.
 * @throws ImagemillError REDIS_SERVER_MISSING, REDIS_UNREACHABLE
 */
export async function startEmbeddedRedis(): Promise<EmbeddedRedis> {
  await checkEmbeddedRedis();
  const folder = await mkdtemp(join(tmpdir(), 'imagemill-redis-'));
  const socket = join(folder, 'redis.sock');
  const server = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700', '--dir', folder]
      .concat(['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction'])
      .concat(['--loglevel', 'warning']),
    // A group of its own: Ctrl-C reaches the command, which stops the server after the queue is closed.
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  let output = '';
  const collect = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-2_000));
  server.stdout.on('data', collect);
  server.stderr.on('data', collect);
  const exited = new Promise<Error>((resolve) => {
    server.once('error', resolve);
    server.once('exit', (code, signal) =>
      resolve(new Error(`exited with ${signal ?? code}: ${output.trim()}`)),
    );
  });
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  const guard = server.pid === undefined ? undefined : startGuard(server.pid, folder);
  // Without a server there is nothing to guard, and another process may get its number.
  void exited.then(() => guard?.kill('SIGKILL'));

  async function stop(): Promise<void> {
    process.removeListener('exit', kill);
    if (server.exitCode === null && server.signalCode === null && server.pid !== undefined) {
      server.kill('SIGTERM');
      await Promise.race([exited, sleep(STOP_TIMEOUT_MS, undefined, { ref: false })]);
      server.kill('SIGKILL');
    }
    await rm(folder, { recursive: true, force: true });
  }

  const url = `unix://${encodeURI(socket)}`;
  const failure = await Promise.race([exited, waitUntilReady(url)]);
  if (failure === undefined) return { url, stop };
  await stop();
  throw new ImagemillError('REDIS_UNREACHABLE', `redis-server did not start: ${failure.message}`);
}

/**
 * Ends the server and removes its folder when this process is gone, however it went: the guard's input ends then, which
 * not even SIGKILL can prevent.
 */
function startGuard(serverPid: number, folder: string): ChildProcess {
  const script = 'read -r _; kill -KILL "$1"; rm -rf "$2"';
  const guard = spawn('sh', ['-c', script, 'sh', String(serverPid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell the server is only as well guarded as before.
  guard.on('error', () => {});
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  return guard;
}

async function waitUntilReady(url: string): Promise<Error | undefined> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let last: Error = new Error('no answer');
  while (Date.now() < deadline) {
    try {
      await checkRedis({ redisUrl: url });
      return undefined;
    } catch (error) {
      last = error as Error;
      await sleep(20);
    }
  }
  return last;
}
