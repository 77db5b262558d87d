import fastifyCookie from '@fastify/cookie';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ImagemillError } from '../../contract/errors.ts';
import type { FaultAnswer } from '../answer-fault.ts';
import {
  identityFromProxy,
  mayActAs,
  roleOfToken,
  type AccessMode,
  type Identity,
  type Role,
} from './access-policy.ts';
import { hostFault, isSafe, originFault } from './request-origin.ts';
import { readSession, SESSION_COOKIE } from './session.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null on public pages alone. */
    identity: Identity | null;
  }
  interface FastifyContextConfig {
    /** What it takes; by default `viewer` to read and `operator` to change. */
    access?: Role | 'public';
  }
}

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'self'",
].join('; ');

/** Of every answer. */
export const SECURITY_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  // What a page shows must not stay behind on a shared machine; pictures say otherwise themselves.
  'cache-control': 'no-store',
} as const;

/**
 * Stands before every route, bull-board's among them: headers, host, origin, identity, role; in this order. It answers
 * itself, since parts of the dashboard that come from others have error handlers of their own.
 */
export async function registerGuard(
  app: FastifyInstance,
  mode: AccessMode,
  answer: FaultAnswer,
): Promise<void> {
  await app.register(fastifyCookie);
  app.decorateRequest('identity', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    try {
      admit(request, reply, mode);
    } catch (error) {
      return answer(error, request, reply);
    }
    return undefined;
  });
}

function admit(request: FastifyRequest, reply: FastifyReply, mode: AccessMode): void {
  if (mode.kind === 'open') refuse(hostFault(request.headers.host));
  const authorization = bearerOf(request);
  refuse(
    originFault({
      method: request.method,
      host: request.headers.host,
      origin: request.headers.origin,
      fetchSite: header(request, 'sec-fetch-site'),
      contentType: request.headers['content-type'],
      bearsToken: authorization !== null,
    }),
  );
  const needed = request.routeOptions.config.access ?? (isSafe(request.method) ? 'viewer' : 'operator');
  request.identity = identify(request, mode, authorization);
  if (needed !== 'public') authorize(request.identity, needed, reply);
}

function refuse(fault: string | null): void {
  if (fault !== null) throw new ImagemillError('FORBIDDEN', fault);
}

function authorize(identity: Identity | null, needed: Role, reply: FastifyReply): void {
  if (identity === null) {
    reply.header('www-authenticate', 'Bearer realm="imagemill"');
    throw new ImagemillError(
      'UNAUTHENTICATED',
      'expected a token (Authorization: Bearer …) or to be signed in, got neither',
    );
  }
  if (!mayActAs(identity, needed)) {
    throw new ImagemillError(
      'FORBIDDEN',
      `expected the role ${needed}, got ${identity.name}, a ${identity.role}`,
    );
  }
}

function identify(request: FastifyRequest, mode: AccessMode, bearer: string | null): Identity | null {
  if (mode.kind === 'open') return { name: 'local', role: 'operator' };
  if (mode.kind === 'proxy') {
    return identityFromProxy(mode, request.socket.remoteAddress ?? '', header(request, mode.header));
  }
  if (bearer !== null) return named(roleOfToken(mode, bearer));
  const cookie = request.cookies[SESSION_COOKIE];
  return cookie === undefined ? null : named(readSession(mode, cookie, Date.now() / 1_000));
}

function named(role: Role | null): Identity | null {
  return role === null ? null : { name: role, role };
}

function bearerOf(request: FastifyRequest): string | null {
  const match = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '');
  return match?.[1] ?? null;
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
