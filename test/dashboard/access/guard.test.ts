import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import type { AccessMode } from '../../../src/dashboard/access/access-policy.ts';
import { registerGuard } from '../../../src/dashboard/access/guard.ts';
import { SESSION_COOKIE, signSession } from '../../../src/dashboard/access/session.ts';
import { problemOf } from '../../../src/dashboard/problem.ts';

const TOKEN = 'operator-token-0123456789';
const VIEWER = 'viewer-token-0123456789';
const tokens = { kind: 'token', operator: TOKEN, viewer: VIEWER } as const;
const proxy: AccessMode = { kind: 'proxy', header: 'x-user', from: ['127.0.0.1'], operators: ['ada'] };

const apps: FastifyInstance[] = [];
afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

async function guarded(mode: AccessMode): Promise<FastifyInstance> {
  const app = fastify();
  apps.push(app);
  await registerGuard(app, mode, (error, _request, reply) => {
    const problem = problemOf(error);
    return reply.code(problem.status).send(problem);
  });
  app.get('/seen', (request) => request.identity);
  app.post('/done', (request) => request.identity);
  app.get('/public', { config: { access: 'public' } }, (request) => ({ identity: request.identity }));
  app.get('/secret', { config: { access: 'operator' } }, (request) => request.identity);
  return app;
}

const JSON_BODY = { 'content-type': 'application/json' };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function status(app: FastifyInstance, method: 'GET' | 'POST' | 'HEAD', url: string, headers = {}) {
  const payload = method === 'POST' ? { payload: '{}' } : {};
  return (await app.inject({ method, url, headers: { host: '127.0.0.1', ...headers }, ...payload }))
    .statusCode;
}

describe('with tokens', () => {
  it('knows a viewer and an operator, and nobody else', async () => {
    const app = await guarded(tokens);
    expect(await status(app, 'GET', '/seen')).toBe(401);
    expect(await status(app, 'GET', '/seen', bearer(VIEWER))).toBe(200);
    expect(await status(app, 'POST', '/done', { ...JSON_BODY, ...bearer(VIEWER) })).toBe(403);
    expect(await status(app, 'POST', '/done', { ...JSON_BODY, ...bearer(TOKEN) })).toBe(200);
    expect(await status(app, 'GET', '/secret', bearer(VIEWER))).toBe(403);
    for (const authorization of [
      `Basic ${TOKEN}`,
      `Bearer ${TOKEN} x`,
      `Bearer  `,
      TOKEN,
      `Bearer ${TOKEN}0`,
    ]) {
      expect(await status(app, 'GET', '/seen', { authorization }), authorization).toBe(401);
    }
  });

  it('says how to sign in, and what is missing', async () => {
    const app = await guarded(tokens);
    const answer = await app.inject({ url: '/seen' });
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="imagemill"');
    expect(answer.json()).toMatchObject({ code: 'UNAUTHENTICATED', status: 401 });
  });

  it('takes a session of its own pages, and not of another one', async () => {
    const app = await guarded(tokens);
    const cookie = `${SESSION_COOKIE}=${signSession(tokens, 'operator', Date.now() / 1_000)}`;
    const own = { ...JSON_BODY, cookie, 'sec-fetch-site': 'same-origin' };
    expect(await status(app, 'POST', '/done', own)).toBe(200);
    expect(await status(app, 'POST', '/done', { ...own, 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await status(app, 'POST', '/done', { cookie, ...JSON_BODY, origin: 'http://evil.example' })).toBe(
      403,
    );
    expect(await status(app, 'POST', '/done', { cookie, 'content-type': 'text/plain' })).toBe(403);
    expect(await status(app, 'GET', '/seen', { cookie: `${cookie.slice(0, -1)}x` })).toBe(401);
    expect(await status(app, 'GET', '/seen', { cookie: `${SESSION_COOKIE}=%E0%A4%A; ;=;` })).toBe(401);
  });

  it('goes by a token that is sent, though a session would do', async () => {
    const app = await guarded(tokens);
    const cookie = `${SESSION_COOKIE}=${signSession(tokens, 'operator', Date.now() / 1_000)}`;
    expect(await status(app, 'GET', '/seen', { cookie, ...bearer('wrong-token-0123456789') })).toBe(401);
  });

  it('stands before public pages without asking, and before pages that are not there', async () => {
    const app = await guarded(tokens);
    expect(await status(app, 'GET', '/public')).toBe(200);
    expect(await status(app, 'GET', '/nowhere')).toBe(401);
    expect(await status(app, 'HEAD', '/seen')).toBe(401);
  });

  it('sets its headers on every answer, those of refusals among them', async () => {
    const app = await guarded(tokens);
    for (const url of ['/seen', '/public', '/nowhere']) {
      const { headers } = await app.inject({ url });
      expect(headers['content-security-policy'], url).toContain("default-src 'none'");
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'cache-control': 'no-store',
        'referrer-policy': 'same-origin',
      });
    }
  });
});

describe('on a loopback address without a token', () => {
  it('lets everyone operate, under a name of this machine alone', async () => {
    const app = await guarded({ kind: 'open' });
    expect(await status(app, 'POST', '/done', JSON_BODY)).toBe(200);
    expect(await status(app, 'GET', '/seen', { host: 'rebound.example' })).toBe(403);
    expect(await status(app, 'GET', '/public', { host: 'rebound.example:3000' })).toBe(403);
  });

  it('refuses what another page sends, whatever it claims to bear', async () => {
    const app = await guarded({ kind: 'open' });
    expect(await status(app, 'POST', '/done', { ...JSON_BODY, origin: 'http://evil.example' })).toBe(403);
    expect(await status(app, 'POST', '/done', { 'content-type': 'text/plain' })).toBe(403);
  });
});

describe('behind a proxy', () => {
  it('believes its header from its address alone', async () => {
    const app = await guarded(proxy);
    expect(await status(app, 'GET', '/seen', { 'x-user': 'bob' })).toBe(200);
    expect(await status(app, 'POST', '/done', { ...JSON_BODY, 'x-user': 'bob' })).toBe(403);
    expect(await status(app, 'POST', '/done', { ...JSON_BODY, 'x-user': 'ada' })).toBe(200);
    expect(await status(app, 'GET', '/seen')).toBe(401);
    const elsewhere = await app.inject({
      url: '/seen',
      headers: { 'x-user': 'ada' },
      remoteAddress: '10.1.2.3',
    });
    expect(elsewhere.statusCode).toBe(401);
  });

  it('takes no tokens', async () => {
    expect(await status(await guarded(proxy), 'GET', '/seen', bearer(TOKEN))).toBe(401);
  });
});
