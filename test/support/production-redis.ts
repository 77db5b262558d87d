import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import type { RedisTls } from '../../src/config/redis-tls.ts';
import { redisOptions } from '../../src/queue/connection.ts';
import { freePort } from './redis.ts';
import type { Certificates } from './certificates.ts';

const INFRA = fileURLToPath(new URL('../../infra/redis', import.meta.url));

/** With every character that a URL, a shell or a log might trip over. */
export const PASSWORDS = {
  worker: `w/0#r?k@e:r%'"$\\ ü-4f1c9a`,
  producer: 'p:r@o/d?u#c%e"r -77ab02',
  admin: 'admin-3c1d',
} as const;

export type ProductionUser = keyof typeof PASSWORDS;

const USER_NAMES: Record<ProductionUser, string> = {
  worker: 'imagemill-worker',
  producer: 'imagemill-producer',
  admin: 'admin',
};

export interface ProductionRedis {
  readonly port: number;
  /** Where its files are, the history of all writes among them. */
  readonly folder: string;
  urlOf(user: ProductionUser, password?: string): string;
  /** A connection of the tests' own, not yet open. */
  connect(user: ProductionUser, tls?: RedisTls): Redis;
  stop(): Promise<void>;
}

/**
 * Starts redis-server with the very files of infra/redis: the passwords are set as its comment says; port and folders
 * are those of the test, and with certificates the commented lines on TLS are in force.
 */
export async function startProductionRedis(certificates?: Certificates): Promise<ProductionRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-test-redis-'));
  const port = await freePort();
  const configuration = join(folder, 'redis.conf');
  writeFileSync(join(folder, 'users.acl'), withPasswords(readFileSync(join(INFRA, 'users.acl'), 'utf8')));
  writeFileSync(configuration, configurationOf(port, folder, certificates));
  const server = spawn('redis-server', [configuration], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  server.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  server.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  const exited = new Promise((resolve) => server.once('exit', resolve));
  const ready = new Promise<void>((resolve) => {
    server.stdout.on('data', () => output.includes('Ready to accept connections') && resolve());
  });
  await Promise.race([ready, exited]);
  if (server.exitCode !== null) throw new Error(`redis-server ended: ${output}`);
  const urlOf = (user: ProductionUser, password: string = PASSWORDS[user]) =>
    `${certificates === undefined ? 'redis' : 'rediss'}://${USER_NAMES[user]}:${encodeURIComponent(password)}@localhost:${port}`;
  return {
    port,
    folder,
    urlOf,
    connect: (user, redisTls) => {
      const options = redisOptions({ redisUrl: urlOf(user), redisTls }, 'request');
      const redis = new Redis({ ...options, lazyConnect: true, retryStrategy: () => null });
      redis.on('error', () => {});
      return redis;
    },
    stop: async () => {
      process.removeListener('exit', kill);
      server.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function withPasswords(acl: string): string {
  return acl.replaceAll(/\b(WORKER|PRODUCER|ADMIN)_PASSWORD_SHA256\b/g, (_, name: string) =>
    createHash('sha256')
      .update(PASSWORDS[name.toLowerCase() as ProductionUser])
      .digest('hex'),
  );
}

function configurationOf(port: number, folder: string, certificates: Certificates | undefined): string {
  const text = readFileSync(join(INFRA, 'redis.conf'), 'utf8')
    .replaceAll('/etc/redis/users.acl', join(folder, 'users.acl'))
    .replace('dir /data', `dir ${folder}`)
    .replace('bind * -::*', 'bind 127.0.0.1');
  if (certificates === undefined) return text.replace('port 6379', `port ${port}`);
  return text
    .replaceAll(/^# (tls-)/gm, '$1')
    .replace(/^port 6379/m, 'port 0')
    .replace('tls-port 6379', `tls-port ${port}`)
    .replace('/etc/redis/tls/redis.crt', certificates.server.cert)
    .replace('/etc/redis/tls/redis.key', certificates.server.key)
    .replace('/etc/redis/tls/ca.crt', certificates.ca);
}
