import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { AccessMode, Role } from './access-policy.ts';

export const SESSION_COOKIE = 'imagemill_session';
export const SESSION_SECONDS = 12 * 3_600;

/**
 * The value of a session's cookie: role, end and a signature. Its key comes from the token itself, so that a restarted
 * dashboard, or another one of the same fleet, goes on, and a new token ends every session of the old one.
 */
export function signSession(
  mode: Extract<AccessMode, { kind: 'token' }>,
  role: Role,
  nowSeconds: number,
): string {
  const claims = `${role}.${Math.floor(nowSeconds) + SESSION_SECONDS}`;
  return `${claims}.${signatureOf(mode, role, claims)}`;
}

/** The role of a session; null where it is forged, over, or of another token. */
export function readSession(
  mode: Extract<AccessMode, { kind: 'token' }>,
  cookie: string,
  nowSeconds: number,
): Role | null {
  const match = /^(viewer|operator)\.(\d{1,12})\.([0-9a-f]{64})$/.exec(cookie);
  if (match === null) return null;
  const [, role, end, signature] = match as unknown as [string, Role, string, string];
  if (role === 'viewer' && mode.viewer === undefined) return null;
  const expected = signatureOf(mode, role, `${role}.${end}`);
  if (!timingSafeEqual(Buffer.from(expected), Buffer.from(signature))) return null;
  return Number(end) > nowSeconds ? role : null;
}

function signatureOf(mode: Extract<AccessMode, { kind: 'token' }>, role: Role, claims: string): string {
  const token = role === 'operator' ? mode.operator : (mode.viewer ?? '');
  const key = new Uint8Array(hkdfSync('sha256', token, '', 'imagemill session', 32));
  return createHmac('sha256', key).update(claims).digest('hex');
}
