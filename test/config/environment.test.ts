import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSettings } from '../../src/config/environment.ts';

describe('readSettings', () => {
  it('runs with an empty environment', () => {
    expect(readSettings({})).toMatchObject({
      redisUrl: undefined,
      queuePrefix: 'imagemill',
      s3: { region: 'us-east-1', pathStyle: false, checksums: 'when-supported' },
      worker: { batchSize: 64, lockMs: 10_000 },
    });
  });

  it('takes an empty variable for an unset one', () => {
    expect(readSettings({ REDIS_URL: '', IMAGEMILL_BATCH_SIZE: '' }).redisUrl).toBeUndefined();
  });

  it('prefers path style and required checksums only at a custom endpoint', () => {
    expect(readSettings({ IMAGEMILL_S3_ENDPOINT: 'http://127.0.0.1:9000' }).s3).toMatchObject({
      endpoint: 'http://127.0.0.1:9000',
      pathStyle: true,
      checksums: 'when-required',
    });
    expect(
      readSettings({ IMAGEMILL_S3_ENDPOINT: 'http://127.0.0.1:9000', IMAGEMILL_S3_PATH_STYLE: 'no' }).s3
        .pathStyle,
    ).toBe(false);
  });

  it('looks for TensorFlow at an absolute path, which is all that Node loads from', () => {
    const directoryOf = (env: Record<string, string>) => readSettings(env).worker.tensorflowDirectory;
    expect(directoryOf({ IMAGEMILL_TENSORFLOW: 'built' })).toBe(join(process.cwd(), 'built'));
    expect(directoryOf({})).toMatch(/^\/.*\/\.cache\/tensorflow$/);
  });

  it('names every fault in one line', () => {
    const faulty = { REDIS_URL: 'localhost', IMAGEMILL_BATCH_SIZE: '0', IMAGEMILL_LOG_LEVEL: 'loud' };
    expect(() => readSettings(faulty)).toThrow(
      /REDIS_URL=localhost: expected redis:\/\/.*IMAGEMILL_LOG_LEVEL=loud.*IMAGEMILL_BATCH_SIZE=0/,
    );
  });

  it('never repeats a password of REDIS_URL', () => {
    expect(() => readSettings({ REDIS_URL: 'http://user:hunter2@host' })).toThrow(/^(?!.*hunter2)/);
  });
});
