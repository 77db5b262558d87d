import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localPath } from '../../../src/dashboard/pages/sign-in-routes.ts';
import { OPERATOR_TOKEN, startTestDashboard, TOKENS, type TestDashboard } from '../../support/dashboard.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';

describe('where signing in leads to', () => {
  it('is an address of this dashboard, whatever is asked for', () => {
    expect(localPath('/runs?kind=train')).toBe('/runs?kind=train');
    for (const next of [undefined, '', 'runs', '//evil.example', '/\\evil.example', 'https://evil.example']) {
      expect(localPath(next)).toBe('/runs');
    }
    expect(localPath('/runs\r\nset-cookie: a=b')).toBe('/runs');
  });
});

describe('signing in', () => {
  let redis: TestRedis;
  let test: TestDashboard;
  beforeAll(async () => {
    redis = await startRedis();
    test = await startTestDashboard({ redisUrl: redis.url, home: 'memory://sign-in/home', access: TOKENS });
  });
  afterAll(async () => {
    await test.close();
    await redis.stop();
  });
  const signIn = (token: string, headers: Record<string, string> = {}) =>
    test.dashboard.app.inject({
      method: 'POST',
      url: '/login',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'sec-fetch-site': 'same-origin',
        ...headers,
      },
      payload: new URLSearchParams({ token, next: '/workers' }).toString(),
    });

  it('sets a cookie that scripts cannot read, for https where the browser speaks it', async () => {
    const plain = await signIn(OPERATOR_TOKEN);
    expect([plain.statusCode, plain.headers.location]).toEqual([303, '/workers']);
    const cookie = String(plain.headers['set-cookie']);
    expect(cookie).toMatch(/HttpOnly/);
    expect(cookie).not.toMatch(/Secure/);
    expect(cookie).not.toContain(OPERATOR_TOKEN);
    const encrypted = await signIn(OPERATOR_TOKEN, { 'x-forwarded-proto': 'https' });
    expect(String(encrypted.headers['set-cookie'])).toMatch(/Secure/);
  });

  it('takes its time over a wrong token, and sets nothing', async () => {
    const begun = performance.now();
    const refused = await signIn('wrong');
    expect(refused.statusCode).toBe(401);
    expect(refused.headers['set-cookie']).toBeUndefined();
    expect(performance.now() - begun).toBeGreaterThan(400);
  });

  it('refuses a form of another site', async () => {
    const refused = await signIn(OPERATOR_TOKEN, { 'sec-fetch-site': 'cross-site' });
    expect(refused.statusCode).toBe(403);
    expect(refused.headers['set-cookie']).toBeUndefined();
  });
});
