import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkRedis } from '../../src/queue/connection.ts';

export interface TestRedis {
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Starts a real redis-server on a free port, with extra configuration where a test needs it. */
export async function startRedis(extra: readonly string[] = []): Promise<TestRedis> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-test-redis-'));
  const server = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
      .concat(['--appendonly', 'yes', '--appendfsync', 'everysec', '--maxmemory-policy', 'noeviction'])
      .concat(extra),
    { stdio: 'ignore' },
  );
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  const url = `redis://127.0.0.1:${port}`;
  const needsPassword = extra.includes('--requirepass');
  for (let tries = 0; tries < 200; tries += 1) {
    const ready = await checkRedis(url).then(
      () => true,
      (error: unknown) => needsPassword && String(error).includes('refuses'),
    );
    if (ready) break;
    await sleep(25);
  }
  return {
    url,
    process: server,
    stop: async () => {
      process.removeListener('exit', kill);
      const exited = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGKILL');
      if (server.exitCode === null && server.signalCode === null) await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
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
