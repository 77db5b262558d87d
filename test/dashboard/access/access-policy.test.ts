import { describe, expect, it } from 'vitest';
import {
  accessMode,
  blockListOf,
  identityFromProxy,
  isLoopback,
  mayActAs,
  roleOfToken,
  type AccessOptions,
} from '../../../src/dashboard/access/access-policy.ts';

const TOKEN = 'operator-token-0123456789';
const VIEWER = 'viewer-token-0123456789';
const options = (more: Partial<AccessOptions> = {}): AccessOptions => ({
  host: '127.0.0.1',
  proxyFrom: [],
  operators: [],
  ...more,
});

describe('accessMode', () => {
  it('is open on a loopback address alone', () => {
    for (const host of ['127.0.0.1', 'localhost', 'LOCALHOST', '::1', '[::1]', '127.1.2.3']) {
      expect(accessMode(options({ host })), host).toEqual({ kind: 'open' });
    }
    for (const host of [
      '0.0.0.0',
      '::',
      '10.0.0.1',
      'example.org',
      '127.0.0.1.example.org',
      'localhost.example.org',
    ]) {
      expect(() => accessMode(options({ host })), host).toThrow(/expected a loopback address/);
    }
  });

  it('takes tokens that are long, printable and different', () => {
    expect(accessMode(options({ token: TOKEN, viewerToken: VIEWER }))).toEqual({
      kind: 'token',
      operator: TOKEN,
      viewer: VIEWER,
    });
    expect(() => accessMode(options({ token: 'short' }))).toThrow(/got 5 characters$/);
    expect(() => accessMode(options({ token: `${TOKEN} x` }))).toThrow(/without spaces/);
    expect(() => accessMode(options({ token: 'x'.repeat(1_025) }))).toThrow(/16 to 1024/);
    expect(() => accessMode(options({ token: TOKEN, viewerToken: TOKEN }))).toThrow(/to differ/);
    expect(() => accessMode(options({ viewerToken: VIEWER }))).toThrow(/nobody could operate/);
  });

  it('never quotes a token', () => {
    const secret = `secret secret ${TOKEN}`;
    expect(() => accessMode(options({ token: secret }))).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret secret') as string }),
    );
  });

  it('believes a proxy only with the address it comes from, and never beside tokens', () => {
    const proxy = { proxyUserHeader: 'X-User', proxyFrom: ['10.0.0.0/8'], operators: ['ada'] };
    expect(accessMode(options({ host: '0.0.0.0', ...proxy }))).toEqual({
      kind: 'proxy',
      header: 'x-user',
      from: ['10.0.0.0/8'],
      operators: ['ada'],
    });
    expect(() => accessMode(options({ ...proxy, proxyFrom: [] }))).toThrow(/--proxy-from/);
    expect(() => accessMode(options({ ...proxy, proxyUserHeader: 'x user' }))).toThrow(/name of a header/);
    expect(() => accessMode(options({ ...proxy, token: TOKEN }))).toThrow(/got both/);
    expect(() => accessMode(options({ ...proxy, viewerToken: VIEWER }))).toThrow(/got both/);
    expect(() => accessMode(options({ operators: ['ada'] }))).toThrow(/--proxy-user-header/);
  });
});

describe('blockListOf', () => {
  it('takes addresses and ranges of both families', () => {
    const list = blockListOf(['10.0.0.0/8', '192.168.1.7', 'fd00::/8']);
    expect(list.check('10.200.3.4')).toBe(true);
    expect(list.check('192.168.1.7')).toBe(true);
    expect(list.check('192.168.1.8')).toBe(false);
    expect(list.check('fd12::1', 'ipv6')).toBe(true);
  });

  it.each([
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/8/9',
    '10.0.0.0/-1',
    '10.0.0.0/1e1',
    'fd00::/129',
    'proxy',
    '',
    '/8',
  ])('refuses %j, which would let in others than meant', (range) =>
    expect(() => blockListOf([range])).toThrow(/--proxy-from/),
  );
});

describe('identityFromProxy', () => {
  const mode = { kind: 'proxy', header: 'x-user', from: ['10.0.0.1'], operators: ['ada'] } as const;

  it('takes the name from the proxy alone', () => {
    expect(identityFromProxy(mode, '10.0.0.1', 'ada')).toEqual({ name: 'ada', role: 'operator' });
    expect(identityFromProxy(mode, '::ffff:10.0.0.1', ' bob ')).toEqual({ name: 'bob', role: 'viewer' });
    expect(identityFromProxy(mode, '10.0.0.2', 'ada')).toBeNull();
    expect(identityFromProxy(mode, '', 'ada')).toBeNull();
  });

  it('refuses names that would make a mess of a log', () => {
    for (const name of [undefined, '', '  ', 'a\nb', 'é', 'x'.repeat(201)]) {
      expect(identityFromProxy(mode, '10.0.0.1', name), name).toBeNull();
    }
  });

  it('lets everyone operate where it is told to', () => {
    expect(identityFromProxy({ ...mode, operators: ['*'] }, '10.0.0.1', 'bob')?.role).toBe('operator');
  });
});

describe('roles', () => {
  const mode = { kind: 'token', operator: TOKEN, viewer: VIEWER } as const;

  it('come from the token', () => {
    expect(roleOfToken(mode, TOKEN)).toBe('operator');
    expect(roleOfToken(mode, VIEWER)).toBe('viewer');
    for (const wrong of ['', TOKEN.slice(1), `${TOKEN}x`, TOKEN.toUpperCase()])
      expect(roleOfToken(mode, wrong)).toBeNull();
    expect(roleOfToken({ kind: 'token', operator: TOKEN }, '')).toBeNull();
    expect(roleOfToken({ kind: 'open' }, TOKEN)).toBeNull();
  });

  it('a viewer looks, an operator does both', () => {
    const [viewer, operator] = [
      { name: 'v', role: 'viewer' },
      { name: 'o', role: 'operator' },
    ] as const;
    expect([mayActAs(viewer, 'viewer'), mayActAs(viewer, 'operator')]).toEqual([true, false]);
    expect([mayActAs(operator, 'viewer'), mayActAs(operator, 'operator')]).toEqual([true, true]);
  });
});

describe('isLoopback', () => {
  it('is not fooled by names that begin alike', () => {
    expect(isLoopback('127.0.0.1.nip.io')).toBe(false);
    expect(isLoopback('1127.0.0.1')).toBe(false);
    expect(isLoopback('')).toBe(false);
  });
});
