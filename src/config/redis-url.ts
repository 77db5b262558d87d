const EXPECTED = 'expected redis://[user:password@]host[:port][/db], rediss://… or unix:///path';

/**
 * What is wrong with a Redis URL, without repeating any of it; null where nothing is. A password with characters of a
 * URL's own (`#`, `/`, `?`) would otherwise be read as a host or a database, and be shown as one.
 */
export function redisUrlFault(url: string): string | null {
  if (!/^(rediss?|unix):\/\//.test(url)) return EXPECTED;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !isDecodable([parsed.username, parsed.password, parsed.pathname])) {
    return `${EXPECTED}, with special characters of the password percent-encoded`;
  }
  if (parsed.protocol === 'unix:') return parsed.pathname.length > 1 ? null : EXPECTED;
  const hasOwnParts = parsed.hostname !== '' && parsed.hash === '' && parsed.search === '';
  if (hasOwnParts && /^(\/\d*)?$/.test(parsed.pathname)) return null;
  return `${EXPECTED}, with special characters of the password percent-encoded`;
}

function isDecodable(parts: readonly string[]): boolean {
  try {
    parts.forEach((part) => decodeURIComponent(part));
    return true;
  } catch {
    return false;
  }
}

/** A value that may be a URL with credentials, for messages: whatever may belong to them is left out. */
export function withoutUserInfo(value = ''): string {
  const at = value.lastIndexOf('@');
  if (at === -1) return value.replace(/\?.*$/s, '?…');
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(value)?.[0] ?? '';
  return `${scheme}…${value.slice(at)}`;
}
