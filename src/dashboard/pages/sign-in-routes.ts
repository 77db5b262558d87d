import type { FastifyInstance } from 'fastify';
import { setTimeout as sleep } from 'node:timers/promises';
import { roleOfToken } from '../access/access-policy.ts';
import { SESSION_COOKIE, SESSION_SECONDS, signSession } from '../access/session.ts';
import type { Services } from '../services.ts';
import { html, type Html } from './markup.ts';
import type { PageRenderer } from './render.ts';
import { firstOf } from './form-body.ts';

/** Guessing a token takes long enough as it is; this keeps it from being cheap. */
const REFUSAL_DELAY_MS = 500;
const WAITING_MAX = 50;

const HIDDEN = { hide: true } as const;

/** Signing in with a token, for browsers: a session in a cookie that scripts cannot read. */
export function registerSignIn(app: FastifyInstance, { access }: Services, pages: PageRenderer): void {
  if (access.kind !== 'token') return;
  let waiting = 0;
  app.get('/login', { config: { access: 'public' }, schema: HIDDEN }, (request, reply) => {
    const next = localPath(firstOf(request.query, 'next'));
    return pages.send(request, reply, { title: 'Sign in', body: signInForm(next, null) });
  });
  app.post('/login', { config: { access: 'public' }, schema: HIDDEN }, async (request, reply) => {
    const next = localPath(firstOf(request.body, 'next'));
    const role = roleOfToken(access, firstOf(request.body, 'token') ?? '');
    if (role === null) {
      request.log.warn({ from: request.ip }, 'sign-in refused');
      waiting += 1;
      if (waiting <= WAITING_MAX) await sleep(REFUSAL_DELAY_MS);
      waiting -= 1;
      const body = signInForm(next, 'Expected a token that this dashboard knows.');
      return pages.send(request, reply, { title: 'Sign in', body }, 401);
    }
    return reply
      .setCookie(SESSION_COOKIE, signSession(access, role, Date.now() / 1_000), {
        path: '/',
        httpOnly: true,
        sameSite: 'lax',
        // Behind a proxy that ends TLS; who claims it falsely only locks the own browser out.
        secure: request.headers['x-forwarded-proto'] === 'https',
        maxAge: SESSION_SECONDS,
      })
      .redirect(next, 303);
  });
  app.post('/logout', { config: { access: 'public' }, schema: HIDDEN }, (_request, reply) =>
    reply.clearCookie(SESSION_COOKIE, { path: '/' }).redirect('/login', 303),
  );
}

/** Where to go after signing in: an address of this dashboard, whatever was asked for. */
export function localPath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])[\x21-\x7e]*$/.test(next) ? next : '/runs';
}

function signInForm(next: string, fault: string | null): Html {
  return html`
    <h1>Sign in</h1>
    ${fault !== null && html`<p class="fault" role="alert">${fault}</p>`}
    <form method="post" action="/login" class="form">
      <input type="hidden" name="next" value="${next}" />
      <label>
        Token
        <input type="password" name="token" required autofocus autocomplete="current-password" size="40" />
      </label>
      <button>Sign in</button>
    </form>
    <p class="hint">The token is the value of IMAGEMILL_TOKEN or IMAGEMILL_VIEWER_TOKEN of this dashboard.</p>
  `;
}
