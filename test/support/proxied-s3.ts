import { afterAll, beforeAll } from 'vitest';
import { s3Kind } from './object-stores.ts';
import { S3Proxy } from './s3-proxy.ts';

export interface ProxiedS3 {
  readonly rgw: ReturnType<typeof s3Kind>;
  readonly proxy: () => S3Proxy;
  /** Environment of a command that reaches the server through the proxy. */
  readonly env: () => Record<string, string>;
}

/** For the tests of a `describe`: a Ceph RGW of their own behind a proxy that can do it harm. */
export function useProxiedS3(): ProxiedS3 {
  const rgw = s3Kind();
  let proxy: S3Proxy | undefined;
  const started = (): S3Proxy => {
    if (proxy === undefined) throw new Error('the proxy is there once the tests run');
    return proxy;
  };
  beforeAll(async () => {
    await rgw.start();
    proxy = await S3Proxy.start(rgw.server().endpoint);
  }, 60_000);
  afterAll(async () => {
    await proxy?.stop();
    await rgw.stop();
  });
  return {
    rgw,
    proxy: started,
    env: () => ({
      IMAGEMILL_S3_ENDPOINT: started().endpoint,
      AWS_ACCESS_KEY_ID: rgw.server().accessKey,
      AWS_SECRET_ACCESS_KEY: rgw.server().secretKey,
    }),
  };
}
