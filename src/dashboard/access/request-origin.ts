import { isLoopback } from './access-policy.ts';

/** What a browser cannot be made to change in a request by the page that sends it. */
export interface OriginFacts {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`. */
  readonly fetchSite: string | undefined;
  readonly contentType: string | undefined;
  /** Whether the request bears a token of its own, which no foreign page can know. */
  readonly bearsToken: boolean;
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

export function isSafe(method: string): boolean {
  return SAFE_METHODS.has(method);
}

/**
 * Why a request that changes something is refused as another page's; null where it is not. A browser sends one of the
 * two headers with every such request; without them it is a program, or one that must ask first (CORS) to send JSON.
 */
export function originFault(facts: OriginFacts): string | null {
  if (isSafe(facts.method) || facts.bearsToken) return null;
  if (facts.fetchSite !== undefined) {
    return facts.fetchSite === 'same-origin' || facts.fetchSite === 'none'
      ? null
      : `expected a request of this dashboard's own pages, got one of a ${facts.fetchSite} page`;
  }
  if (facts.origin !== undefined) {
    return hostOf(facts.origin) === facts.host
      ? null
      : `expected a request of this dashboard's own pages, got one of ${facts.origin}`;
  }
  if (/^application\/json\s*(;|$)/i.test(facts.contentType ?? '')) return null;
  return "expected a request of this dashboard's own pages, or with content-type application/json, got neither";
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}

/**
 * Why a request to a dashboard without a token is refused; null where it is not. A foreign page can point a name of its
 * own at 127.0.0.1 and would then be of the same origin (DNS rebinding); its requests still bear that name.
 */
export function hostFault(host: string | undefined): string | null {
  const name = host === undefined ? '' : host.replace(/:\d{1,5}$/, '');
  return isLoopback(name)
    ? null
    : `expected a request to 127.0.0.1 or localhost, got one to ${host ?? 'no host'}`;
}
