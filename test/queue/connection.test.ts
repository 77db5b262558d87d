import { describe, expect, it } from 'vitest';
import { checkRedis, redisAddress, redisOptions } from '../../src/queue/connection.ts';
import { freePort, startRedis } from '../support/redis.ts';

describe('redisOptions', () => {
  it.each([
    ['redis://queue', { host: 'queue', port: 6379 }],
    ['redis://[::1]:7000/3', { host: '::1', port: 7000, db: 3 }],
    ['redis://me:p%40ss@queue:1', { username: 'me', password: 'p@ss', port: 1 }],
    ['rediss://queue', { tls: { servername: 'queue' } }],
    ['unix:///tmp/a%20b.sock', { path: '/tmp/a b.sock' }],
  ])('reads %s', (url, expected) => {
    expect(redisOptions({ redisUrl: url }, 'worker')).toMatchObject(expected);
  });

  it('lets a worker wait for Redis, and a request give up', () => {
    expect(redisOptions({ redisUrl: 'redis://q' }, 'worker')['maxRetriesPerRequest']).toBeNull();
    expect(redisOptions({ redisUrl: 'redis://q' }, 'request')['maxRetriesPerRequest']).toBe(3);
  });

  it('tells the address without the credentials', () => {
    expect(redisAddress('redis://me:secret@queue:1/2')).toBe('queue:1');
  });
});

describe('checkRedis', () => {
  it('accepts a Redis that answers, with the right password', async () => {
    const redis = await startRedis(['--requirepass', 'right']);
    try {
      await checkRedis({ redisUrl: redis.url.replace('//', '//:right@') });
      await expect(checkRedis({ redisUrl: redis.url.replace('//', '//:wrong@') })).rejects.toMatchObject({
        code: 'REDIS_REFUSED',
      });
      await expect(checkRedis({ redisUrl: redis.url })).rejects.toMatchObject({ code: 'REDIS_REFUSED' });
    } finally {
      await redis.stop();
    }
  });

  it('names the address of one that does not', async () => {
    const port = await freePort();
    await expect(checkRedis({ redisUrl: `redis://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'REDIS_UNREACHABLE',
      message: expect.stringContaining(`127.0.0.1:${port}`) as string,
    });
  });
});
