import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkRedis } from '../../src/queue/connection.ts';

export interface TestRedis {
  readonly url: string;
  /** The server, or the one that was started in its place. */
  readonly process: ChildProcess;
  /** Kills the server, as a power cut would; what its append-only file does not hold yet is lost. */
  crash(): Promise<void>;
  /** Starts it again on the same port, with the same data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a real redis-server on a free port, with extra configuration where a test needs it. */
export async function startRedis(extra: readonly string[] = []): Promise<TestRedis> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-test-redis-'));
  const url = `redis://127.0.0.1:${port}`;
  const mayRefuse = extra.includes('--requirepass');
  const spawnServer = (): ChildProcess =>
    spawn(
      'redis-server',
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
        .concat(['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'])
        .concat(extra),
      { stdio: 'ignore' },
    );
  let server = spawnServer();
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  await untilReady(url, mayRefuse);
  const crash = async (): Promise<void> => {
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await exited;
  };
  return {
    url,
    get process() {
      return server;
    },
    crash,
    restart: async () => {
      server = spawnServer();
      await untilReady(url, mayRefuse);
    },
    stop: async () => {
      process.removeListener('exit', kill);
      await crash();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function untilReady(url: string, mayRefuse: boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const ready = await checkRedis({ redisUrl: url }).then(
      () => true,
      (error: unknown) => mayRefuse && String(error).includes('refuses'),
    );
    if (ready) return;
    await sleep(25);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      );
    });
  });
}
