/** Everything that can be wrong with a request. */
import * as fc from 'fast-check';
import type { FuzzedRequest } from './api-requests.ts';

/** Values that rarely are what a field expects. */
export const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0.5,
    1e300,
    -1e300,
    2 ** 53,
    2 ** 31,
    '',
    ' ',
    '0',
    'null',
    [],
    {},
    [[[[[[[[]]]]]]]],
    { toString: null },
    'x'.repeat(100_000),
    '\u0000',
    '\ud800',
    '💥\u202e\u2028',
    '../../../../etc/passwd',
    'file:///etc/passwd',
    's3://other-bucket/x',
    'http://127.0.0.1:1/',
    '{000..999999}.tar',
    '${jndi:ldap://x}',
    "' OR 1=1 --",
    '<script>alert(1)</script>',
    '9999-99-99T99:99:99Z',
  ),
);

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    '-1',
    '0',
    '1e9',
    '99999999999999999999',
    'NaN',
    '[]',
    '{}',
    '\u0000',
    '💥',
    'x'.repeat(5_000),
    '..',
    'null',
  ),
);

/** Parts of an address that climb, end or double it. */
const TRICKS = [
  '%2e%2e%2f',
  '..%2f..%2f..%2fetc%2fpasswd',
  '%2e%2e',
  '..',
  '../..',
  '%00',
  'r-%00',
  '%',
  '%zz',
  '%c0%ae%c0%ae',
  '%E0%A4%A',
  '%0d%0aset-cookie:x=1',
  '%5c..%5c',
  '.',
  '',
  '/',
  ';x=1',
  '__proto__',
  'constructor',
  'x'.repeat(600),
  '%F0%9F%92%A5',
];

/** What may be wrong with a request. */
export const damage = fc.oneof(
  fc.record({
    at: fc.constant('field' as const),
    steps: fc.array(fc.nat(50), { minLength: 1, maxLength: 3 }),
    value: odd,
  }),
  fc.record({
    at: fc.constant('extra' as const),
    name: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'admin', 'Kind')),
    value: odd,
  }),
  fc.record({ at: fc.constant('missing' as const), step: fc.nat(50) }),
  fc.record({ at: fc.constant('body' as const), value: odd }),
  fc.record({ at: fc.constant('cut' as const), share: fc.double({ min: 0, max: 0.99, noNaN: true }) }),
  fc.record({ at: fc.constant('bytes' as const), bytes: fc.uint8Array({ maxLength: 100 }) }),
  fc.record({ at: fc.constant('deep' as const), depth: fc.integer({ min: 100, max: 50_000 }) }),
  fc.record({
    at: fc.constant('type' as const),
    type: fc.constantFrom(
      'text/plain',
      'application/xml',
      'multipart/form-data',
      'application/json; charset=utf-7',
      'application/x-www-form-urlencoded',
      '',
      'x/y',
      ';',
      'application/jsonx',
    ),
  }),
  fc.record({ at: fc.constant('path' as const), trick: fc.constantFrom(...TRICKS), part: fc.nat(8) }),
  fc.record({
    at: fc.constant('query' as const),
    name: fc.oneof(
      fc.constantFrom('limit', 'cursor', 'kind', 'state', 'text', 'run', '__proto__', ''),
      fc.string(),
    ),
    value: oddText,
  }),
  fc.record({
    at: fc.constant('header' as const),
    header: fc.constantFrom<[string, string]>(
      ['idempotency-key', 'a'],
      ['idempotency-key', 'x'.repeat(300)],
      ['last-event-id', 'x-1'],
      ['transfer-encoding', 'chunked'],
      ['expect', '100-continue'],
      ['cookie', 'imagemill_session=%E0%A4%A'],
      ['authorization', 'Bearer another'],
      ['x-forwarded-for', '127.0.0.1'],
      ['accept', 'text/html'],
      ['range', 'bytes=0-0'],
      ['if-none-match', '*'],
      ['content-encoding', 'gzip'],
      ['x-http-method-override', 'DELETE'],
    ),
  }),
  fc.record({
    at: fc.constant('method' as const),
    method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'),
  }),
);
type Damage = typeof damage extends fc.Arbitrary<infer D> ? D : never;

function withBody(request: FuzzedRequest, value: unknown): FuzzedRequest {
  const headers = request.headers.some(([name]) => name === 'content-type')
    ? request.headers
    : [...request.headers, ['content-type', 'application/json'] as const];
  const text = JSON.stringify(value) as string | undefined;
  return { ...request, headers, value, body: Buffer.from(text ?? ''), isJson: text !== undefined };
}

/** The request with something wrong about it. */
export function applied(request: FuzzedRequest, kind: Damage): FuzzedRequest {
  const fields =
    typeof request.value === 'object' && request.value !== null
      ? (request.value as Record<string, unknown>)
      : {};
  const names = Object.keys(fields);
  switch (kind.at) {
    case 'field': {
      const copy = structuredClone(fields);
      place(copy, kind.steps, kind.value);
      return withBody(request, copy);
    }
    case 'extra':
      return withBody(request, Object.fromEntries([...Object.entries(fields), [kind.name, kind.value]]));
    case 'missing': {
      const gone = names[kind.step % Math.max(1, names.length)];
      return withBody(request, Object.fromEntries(Object.entries(fields).filter(([name]) => name !== gone)));
    }
    case 'body':
      return withBody(request, kind.value);
    case 'cut': {
      const body = request.body?.subarray(0, Math.floor(request.body.length * kind.share)) ?? null;
      return { ...request, body, isJson: false };
    }
    case 'bytes':
      return { ...withBody(request, null), body: Buffer.from(kind.bytes), isJson: false };
    case 'deep':
      return {
        ...withBody(request, null),
        body: Buffer.from('['.repeat(kind.depth) + ']'.repeat(kind.depth)),
        isJson: false,
      };
    case 'type':
      return {
        ...request,
        headers: [
          ...request.headers.filter(([name]) => name !== 'content-type'),
          ['content-type', kind.type],
        ],
        isJson: false,
      };
    case 'path': {
      const parts = request.target.split('/');
      parts.splice(1 + (kind.part % parts.length), 1, kind.trick);
      return { ...request, target: parts.join('/').replace(/^(?!\/)/, '/') };
    }
    case 'query': {
      const pair = new URLSearchParams([[kind.name, kind.value]]).toString();
      return { ...request, target: `${request.target}${request.target.includes('?') ? '&' : '?'}${pair}` };
    }
    case 'header':
      return { ...request, headers: [...request.headers, kind.header] };
    case 'method':
      return { ...request, method: kind.method };
    default:
      return request;
  }
}

function place(node: Record<string, unknown>, [step = 0, ...rest]: readonly number[], value: unknown): void {
  const names = Object.keys(node);
  const name = names[step % Math.max(1, names.length)];
  if (name === undefined) return;
  const child = node[name];
  if (rest.length === 0 || typeof child !== 'object' || child === null) node[name] = value;
  else place(child as Record<string, unknown>, rest, value);
}
