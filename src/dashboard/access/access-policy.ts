import { createHash, timingSafeEqual } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { ImagemillError } from '../../contract/errors.ts';

/** A viewer sees everything; an operator also submits, cancels, retries and resumes. */
export const ROLES = ['viewer', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** Who asks. */
export interface Identity {
  /** For `submittedBy` and the log. */
  readonly name: string;
  readonly role: Role;
}

export type AccessMode =
  /** Whoever reaches the port; only on a loopback address. */
  | { readonly kind: 'open' }
  | { readonly kind: 'token'; readonly operator: string; readonly viewer?: string | undefined }
  /** A proxy in front has signed people in, and says who they are in a header. */
  | {
      readonly kind: 'proxy';
      /** Lower case. */
      readonly header: string;
      /** Addresses or CIDR ranges of the proxy: the header of anyone else is not believed. */
      readonly from: readonly string[];
      /** Names that may operate; `*`: all of them. */
      readonly operators: readonly string[];
    };

/** Shorter ones can be guessed. */
export const TOKEN_CHARS_MIN = 16;
const TOKEN_CHARS_MAX = 1_024;
const NAME_CHARS_MAX = 200;
const HEADER_NAME = /^[A-Za-z][A-Za-z0-9-]{0,63}$/;

const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '::1']);

export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return LOOPBACK_NAMES.has(bare) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(bare);
}

export interface AccessOptions {
  readonly host: string;
  readonly token?: string | undefined;
  readonly viewerToken?: string | undefined;
  readonly proxyUserHeader?: string | undefined;
  readonly proxyFrom: readonly string[];
  readonly operators: readonly string[];
}

/**
 * How a dashboard with these options decides who may do what.
 * @throws ImagemillError USAGE, CONFIG_INVALID
 */
export function accessMode(options: AccessOptions): AccessMode {
  const { host, token, viewerToken, proxyUserHeader, proxyFrom, operators } = options;
  if (proxyUserHeader !== undefined) {
    if (token !== undefined || viewerToken !== undefined) {
      throw new ImagemillError(
        'USAGE',
        'expected either IMAGEMILL_TOKEN (and IMAGEMILL_VIEWER_TOKEN) or --proxy-user-header, got both: one of them decides who may do what',
      );
    }
    return proxyMode(proxyUserHeader, proxyFrom, operators);
  }
  if (proxyFrom.length > 0 || operators.length > 0) {
    throw new ImagemillError(
      'USAGE',
      'expected --proxy-user-header with --proxy-from and --operator, got none',
    );
  }
  if (token === undefined) {
    if (viewerToken !== undefined) {
      throw new ImagemillError(
        'CONFIG_INVALID',
        'expected IMAGEMILL_TOKEN beside IMAGEMILL_VIEWER_TOKEN, got none: nobody could operate',
      );
    }
    if (isLoopback(host)) return { kind: 'open' };
    throw new ImagemillError(
      'USAGE',
      `--host: expected a loopback address (127.0.0.1) or IMAGEMILL_TOKEN to be set, got ${host} without a token: anyone on the network could submit and cancel runs`,
    );
  }
  checkToken('IMAGEMILL_TOKEN', token);
  if (viewerToken !== undefined) checkToken('IMAGEMILL_VIEWER_TOKEN', viewerToken);
  if (token === viewerToken) {
    throw new ImagemillError(
      'CONFIG_INVALID',
      'expected IMAGEMILL_VIEWER_TOKEN to differ from IMAGEMILL_TOKEN',
    );
  }
  return { kind: 'token', operator: token, viewer: viewerToken };
}

function checkToken(name: string, token: string): void {
  if (token.length >= TOKEN_CHARS_MIN && token.length <= TOKEN_CHARS_MAX && /^[\x21-\x7e]+$/.test(token))
    return;
  throw new ImagemillError(
    'CONFIG_INVALID',
    `${name}: expected ${TOKEN_CHARS_MIN} to ${TOKEN_CHARS_MAX} printable characters without spaces, got ${token.length} characters`,
  );
}

function proxyMode(header: string, from: readonly string[], operators: readonly string[]): AccessMode {
  if (!HEADER_NAME.test(header)) {
    throw new ImagemillError('USAGE', `--proxy-user-header: expected the name of a header, got ${header}`);
  }
  if (from.length === 0) {
    throw new ImagemillError(
      'USAGE',
      '--proxy-user-header: expected --proxy-from with the address of the proxy: anyone else could send that header',
    );
  }
  blockListOf(from);
  return { kind: 'proxy', header: header.toLowerCase(), from, operators };
}

/** @throws ImagemillError USAGE */
export function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [, address = '', bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(range) ?? [];
    const family = isIP(address);
    const whole = family === 6 ? 128 : 32;
    const prefix = bits === undefined ? whole : Number(bits);
    if (family === 0 || prefix > whole) {
      throw new ImagemillError(
        'USAGE',
        `--proxy-from: expected an address or a range such as 10.0.0.0/8, got ${range}`,
      );
    }
    list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** The role a token gives; null for a token that is none. Takes the same time for all that are wrong. */
export function roleOfToken(mode: AccessMode, given: string): Role | null {
  if (mode.kind !== 'token') return null;
  const isOperator = equalSecrets(given, mode.operator);
  const isViewer = mode.viewer !== undefined && equalSecrets(given, mode.viewer);
  return isOperator ? 'operator' : isViewer ? 'viewer' : null;
}

/** What the proxy says; null where it says nothing, or it is not the proxy that says it. */
export function identityFromProxy(
  mode: Extract<AccessMode, { kind: 'proxy' }>,
  peerAddress: string,
  headerValue: string | undefined,
): Identity | null {
  const peer = peerAddress.replace(/^::ffff:/, '');
  // A Unix socket has no address.
  if (isIP(peer) === 0) return null;
  if (!blockListOf(mode.from).check(peer, isIP(peer) === 6 ? 'ipv6' : 'ipv4')) return null;
  const name = headerValue?.trim() ?? '';
  if (name === '' || name.length > NAME_CHARS_MAX || !/^[\x20-\x7e]+$/.test(name)) return null;
  const mayOperate = mode.operators.includes('*') || mode.operators.includes(name);
  return { name, role: mayOperate ? 'operator' : 'viewer' };
}

/** Digests are of equal length, whatever was given. */
function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

export function mayActAs(identity: Identity, role: Role): boolean {
  return role === 'viewer' || identity.role === 'operator';
}
