import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** How a connection to Redis is encrypted, as PEM texts; plain data, so that it can be passed on. */
export interface RedisTls {
  /** Who is trusted to vouch for the server; unset: the authorities that Node trusts. */
  readonly ca?: string;
  /** What this side shows of itself; both or neither. */
  readonly cert?: string;
  readonly key?: string;
}

/** The environment's part in it. */
interface TlsVariables {
  readonly REDIS_URL?: string | undefined;
  readonly IMAGEMILL_REDIS_TLS_CA?: string | undefined;
  readonly IMAGEMILL_REDIS_TLS_CERT?: string | undefined;
  readonly IMAGEMILL_REDIS_TLS_KEY?: string | undefined;
}

type FileVariable = Exclude<keyof TlsVariables, 'REDIS_URL'>;

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Reads the files that the variables name, once: a command that starts with them works to its end with them.
 * @returns undefined where nothing is set; every fault as `VARIABLE=value: expected …, got …`
 */
export function readRedisTls(variables: TlsVariables): { tls: RedisTls | undefined; faults: string[] } {
  const faults: string[] = [];
  const read = <T>(name: FileVariable, parse: (pem: string) => T): { pem: string; value: T } | undefined => {
    const path = variables[name];
    if (path === undefined) return undefined;
    try {
      const pem = readFileSync(path, 'utf8');
      return { pem, value: parse(pem) };
    } catch (error) {
      faults.push(`${name}=${path}: ${faultOf(error as NodeJS.ErrnoException)}`);
      return undefined;
    }
  };
  const ca = read('IMAGEMILL_REDIS_TLS_CA', parseCertificates);
  const cert = read('IMAGEMILL_REDIS_TLS_CERT', parseCertificates);
  const key = read('IMAGEMILL_REDIS_TLS_KEY', parseKey);
  const set = (['CA', 'CERT', 'KEY'] as const)
    .map((kind): FileVariable => `IMAGEMILL_REDIS_TLS_${kind}`)
    .filter((name) => variables[name] !== undefined);
  if (set.length === 0) return { tls: undefined, faults };
  // In the clear, although someone has gone to the trouble of certificates: that is never what they want.
  if (variables.REDIS_URL !== undefined && !variables.REDIS_URL.startsWith('rediss://')) {
    faults.push(`${set.join(', ')}: expected REDIS_URL to begin with rediss://, got one without TLS`);
  }
  const alone = set.filter((name) => !name.endsWith('_CA'));
  if (alone.length === 1) {
    faults.push(`${alone[0]}: expected IMAGEMILL_REDIS_TLS_CERT and IMAGEMILL_REDIS_TLS_KEY, got only one`);
  }
  if (cert !== undefined && key !== undefined && !cert.value.checkPrivateKey(key.value)) {
    faults.push('IMAGEMILL_REDIS_TLS_KEY: expected the key of IMAGEMILL_REDIS_TLS_CERT, got another');
  }
  const tls = {
    ...(ca === undefined ? {} : { ca: ca.pem }),
    ...(cert === undefined ? {} : { cert: cert.pem }),
    ...(key === undefined ? {} : { key: key.pem }),
  };
  return { tls, faults };
}

/** @returns the first certificate, which of a chain is its owner's */
function parseCertificates(pem: string): X509Certificate {
  const [first] = (pem.match(CERTIFICATES) ?? []).map((text) => new X509Certificate(text));
  if (first === undefined) throw new Error('a certificate');
  return first;
}

function parseKey(pem: string): KeyObject {
  return createPrivateKey(pem);
}

/** Never OpenSSL's own words, which tell a user nothing, nor anything of the file. */
function faultOf({ code, syscall }: NodeJS.ErrnoException): string {
  const unreadable = syscall === 'open' || syscall === 'read';
  return unreadable
    ? `expected a file that can be read, got ${code}`
    : 'expected PEM (a certificate, or a private key without a passphrase), got something else';
}
