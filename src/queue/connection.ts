import type { RedisOptions } from 'bullmq';
import { Redis } from 'ioredis';
import { isIP } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import type { RedisTls } from '../config/redis-tls.ts';
import { redisFault } from './redis-faults.ts';

/** Workers wait for Redis to come back; a command that a person waits for does not. */
export type ConnectionRole = 'worker' | 'request';

/** Where Redis is and how it is reached; plain data. */
export interface RedisTarget {
  /** `redis://[user:password@]host:port[/db]`, `rediss://…`, or `unix:///path/to/socket` */
  readonly redisUrl: string;
  /** For `rediss://`; unset: the authorities that Node trusts, and no certificate of our own. */
  readonly redisTls?: RedisTls | undefined;
}

const REQUEST_RETRIES = 3;
const RECONNECT_DELAY_MAX_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** How long a server may take to refuse a certificate. */
const HANDSHAKE_REPLY_MS = 1_000;

/** Options for a Redis connection; plain data, since every BullMQ object makes connections of its own. */
export function redisOptions({ redisUrl, redisTls }: RedisTarget, role: ConnectionRole): RedisOptions {
  const shared: RedisOptions = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 6), RECONNECT_DELAY_MAX_MS),
    maxRetriesPerRequest: role === 'worker' ? null : REQUEST_RETRIES,
  };
  const parsed = new URL(redisUrl);
  if (parsed.protocol === 'unix:') return { ...shared, path: decodeURIComponent(parsed.pathname) };
  const host = parsed.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  return {
    ...shared,
    host,
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    ...(parsed.pathname.length > 1 ? { db: Number(parsed.pathname.slice(1)) } : {}),
    ...(parsed.protocol === 'rediss:' ? { tls: tlsOptions(host, redisTls) } : {}),
  };
}

function tlsOptions(host: string, tls: RedisTls = {}): NonNullable<RedisOptions['tls']> {
  return {
    ...tls,
    // Said here, NODE_TLS_REJECT_UNAUTHORIZED=0, which someone may need for another server, does not reach Redis.
    rejectUnauthorized: true,
    // An address is no server name (RFC 6066); the certificate is checked against it all the same.
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

/** The address without credentials, for messages. */
export function redisAddress(url: string): string {
  const parsed = new URL(url);
  return parsed.protocol === 'unix:'
    ? decodeURIComponent(parsed.pathname)
    : `${parsed.hostname}:${parsed.port || '6379'}`;
}

/**
 * Checks that Redis answers, accepts the credentials, and lets them do what the queues need under the prefix.
 * @param prefix where the keys of the queues are; without it only the connection is checked
 * @throws ImagemillError REDIS_UNREACHABLE, REDIS_UNTRUSTED, REDIS_REFUSED
 */
export async function checkRedis(target: RedisTarget, prefix?: string): Promise<void> {
  let lastError: Error = new Error('no answer');
  const redis = new Redis({
    ...redisOptions(target, 'request'),
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: CONNECT_TIMEOUT_MS,
  });
  redis.on('error', (error: Error) => {
    lastError = error;
  });
  try {
    await redis.connect();
    await redis.ping();
    // A user whose key patterns leave the prefix out may connect, and would fail in the middle of a run.
    if (prefix !== undefined) await redis.eval(PROBE_SCRIPT, 1, `${prefix}:probe`);
  } catch (error) {
    const address = redisAddress(target.redisUrl);
    const told = redisFault(error, address);
    if (told.code !== 'REDIS_UNREACHABLE') throw told;
    // The connection's own error says more than that of the command which could not be sent.
    throw redisFault((await refusalOfHandshake(target)) ?? lastError, address, hintOf(target));
  } finally {
    redis.disconnect();
  }
}

/**
 * With TLS 1.3 a server refuses our certificate, or the lack of one, when our side already sends its first command; the
 * end of the connection then often hides the reason. Whoever sends nothing hears it.
 */
async function refusalOfHandshake(target: RedisTarget): Promise<Error | null> {
  const { tls, host, port } = redisOptions(target, 'request') as RedisOptions & ConnectionOptions;
  if (tls === undefined) return null;
  const socket = connect({ ...(tls as ConnectionOptions), host, port });
  try {
    return await new Promise((resolve) => {
      socket.once('error', resolve);
      socket.setTimeout(HANDSHAKE_REPLY_MS, () => resolve(null));
    });
  } finally {
    socket.destroy();
  }
}

/** One side speaks TLS and the other does not: neither says so, and both look like a broken network. */
function hintOf({ redisUrl }: RedisTarget): string {
  if (redisUrl.startsWith('redis:')) return ' (if it speaks TLS, REDIS_URL has to begin with rediss://)';
  if (redisUrl.startsWith('rediss:'))
    return ' (if it does not speak TLS, REDIS_URL has to begin with redis://)';
  return '';
}

const PROBE_SCRIPT = "return redis.call('EXISTS', KEYS[1])";
