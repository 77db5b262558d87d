import type { RedisOptions } from 'bullmq';
import { Redis } from 'ioredis';
import { ImagemillError } from '../contract/errors.ts';

/** Workers wait for Redis to come back; a command that a person waits for does not. */
export type ConnectionRole = 'worker' | 'request';

const REQUEST_RETRIES = 3;
const RECONNECT_DELAY_MAX_MS = 2_000;
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Options for a Redis connection; plain data, since every BullMQ object makes connections of its own.
 * @param url `redis://[user:password@]host:port[/db]`, `rediss://…`, or `unix:///path/to/socket`
 */
export function redisOptions(url: string, role: ConnectionRole): RedisOptions {
  const shared: RedisOptions = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 6), RECONNECT_DELAY_MAX_MS),
    maxRetriesPerRequest: role === 'worker' ? null : REQUEST_RETRIES,
  };
  const parsed = new URL(url);
  if (parsed.protocol === 'unix:') return { ...shared, path: decodeURIComponent(parsed.pathname) };
  return {
    ...shared,
    host: parsed.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1',
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    ...(parsed.pathname.length > 1 ? { db: Number(parsed.pathname.slice(1)) } : {}),
    ...(parsed.protocol === 'rediss:' ? { tls: { servername: parsed.hostname } } : {}),
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
 * Checks that Redis answers and accepts the credentials.
 * @throws ImagemillError REDIS_UNREACHABLE, REDIS_REFUSED
 */
export async function checkRedis(url: string): Promise<void> {
  const address = redisAddress(url);
  let lastError = 'no answer';
  const redis = new Redis({
    ...redisOptions(url, 'request'),
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: CONNECT_TIMEOUT_MS,
  });
  redis.on('error', (error: Error) => {
    lastError = error.message;
  });
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    const message = `${(error as Error).message} ${lastError}`;
    if (/NOAUTH|WRONGPASS|NOPERM|invalid username-password|without any password/i.test(message)) {
      throw new ImagemillError('REDIS_REFUSED', `Redis at ${address} refuses the credentials of REDIS_URL`);
    }
    throw new ImagemillError('REDIS_UNREACHABLE', `expected Redis at ${address}, got: ${lastError}`);
  } finally {
    redis.disconnect();
  }
}
