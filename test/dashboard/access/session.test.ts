import { describe, expect, it } from 'vitest';
import { readSession, SESSION_SECONDS, signSession } from '../../../src/dashboard/access/session.ts';

const mode = {
  kind: 'token',
  operator: 'operator-token-0123456789',
  viewer: 'viewer-token-0123456789',
} as const;
const NOW = 1_800_000_000;

describe('a session', () => {
  it('holds its role until it ends', () => {
    for (const role of ['viewer', 'operator'] as const) {
      const cookie = signSession(mode, role, NOW);
      expect(readSession(mode, cookie, NOW)).toBe(role);
      expect(readSession(mode, cookie, NOW + SESSION_SECONDS - 1)).toBe(role);
      expect(readSession(mode, cookie, NOW + SESSION_SECONDS)).toBeNull();
    }
  });

  it('cannot be made into another: role, end and signature belong together', () => {
    const [, end, signature] = signSession(mode, 'viewer', NOW).split('.') as [string, string, string];
    const forged = [
      `operator.${end}.${signature}`,
      `viewer.${Number(end) + 1}.${signature}`,
      `viewer.0${end}.${signature}`,
      `viewer.${end}.${'0'.repeat(64)}`,
      `viewer.${end}.${signature.toUpperCase()}`,
      `viewer.${end}.${signature}0`,
      `viewer.${end}`,
      `admin.${end}.${signature}`,
      '',
    ];
    for (const cookie of forged) expect(readSession(mode, cookie, NOW), cookie).toBeNull();
  });

  it('ends with the token it comes from, and no other', () => {
    const [viewer, operator] = [signSession(mode, 'viewer', NOW), signSession(mode, 'operator', NOW)];
    const renewed = { ...mode, operator: 'another-token-0123456789' };
    expect(readSession(renewed, operator, NOW)).toBeNull();
    expect(readSession(renewed, viewer, NOW)).toBe('viewer');
    const without = { kind: 'token', operator: mode.operator } as const;
    expect(readSession(without, viewer, NOW)).toBeNull();
    // The key of a role that does not exist must not be one that anybody can work out.
    expect(readSession(without, signSession(without, 'viewer', NOW), NOW)).toBeNull();
  });
});
