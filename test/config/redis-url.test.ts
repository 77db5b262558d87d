import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSettings } from '../../src/config/environment.ts';
import { redisUrlFault, withoutUserInfo } from '../../src/config/redis-url.ts';
import { redisAddress, redisOptions } from '../../src/queue/connection.ts';

describe('redisUrlFault', () => {
  it.each([
    'redis://queue',
    'redis://queue:6379/3',
    'redis://queue/',
    'redis://[::1]:7000',
    'redis://:p%23w@queue',
    'rediss://user:p%2Fw@queue',
    'unix:///run/redis/redis.sock',
    'unix:///a%20b.sock',
  ])('finds none in %s', (url) => expect(redisUrlFault(url)).toBeNull());

  it.each([
    'queue:6379',
    'http://queue',
    'redis://',
    'redis://queue:port',
    'redis://queue/three',
    'redis://queue?password=x',
    'redis://user:12#x@queue',
    'redis://user:12/x@queue',
    'redis://user:12?x@queue',
    'redis://user:1%zz@queue',
    'unix://',
  ])('finds one in %s', (url) => expect(redisUrlFault(url)).toMatch(/^expected redis:/));

  it('lets no part of a password be taken for a place, however it was pasted', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8, unit: 'grapheme-ascii' }), (password) => {
        const url = `redis://user:${password}@queue:6379`;
        if (redisUrlFault(url) !== null) return;
        expect(redisAddress(url)).toBe('queue:6379');
        expect(redisOptions({ redisUrl: url }, 'request').username).toBe('user');
      }),
    );
  });
});

describe('faults of the environment', () => {
  it.each([
    ['REDIS_URL', 'http://user:hun/ter2@host'],
    ['REDIS_URL', 'user:hunter2@host'],
    ['REDIS_URL', 'redis://user:12#hunter2@host'],
    ['REDIS_URL', 'redis://host?password=hunter2'],
    ['IMAGEMILL_S3_ENDPOINT', 'http://user:hunter2@host'],
    ['IMAGEMILL_S3_ENDPOINT', 'ftp://user:hun/ter2@host'],
  ])('do not repeat the secret in %s=%s', (name, value) => {
    expect(() => readSettings({ [name]: value })).toThrow(new RegExp(`^environment: ${name}=`));
    expect(() => readSettings({ [name]: value })).toThrow(/^((?!hunter2|hun\/ter2).)*$/s);
  });

  it('show where the rest of a URL is', () => {
    expect(withoutUserInfo('redis://user:p@ss@host:1')).toBe('redis://…@host:1');
    expect(withoutUserInfo('localhost')).toBe('localhost');
  });
});
