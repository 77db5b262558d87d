import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE } from '../../src/contract/errors.ts';
import { OPERATOR_TOKEN, VIEWER_TOKEN } from '../support/dashboard.ts';
import { mediaOf, operationsOf, readOpenapi, SchemaChecks, type NamedOperation } from '../support/openapi.ts';
import { exchange, sendBytes, type Answer } from './api-exchange.ts';
import { RequestArbitraries, type FuzzedRequest } from './api-requests.ts';
import { createWorld, type World } from './api-world.ts';
import { FUZZ_TIMEOUT_MS, parameters } from './support.ts';

const document = readOpenapi();
const operations = operationsOf(document);
const checks = new SchemaChecks(document);
/** Requests of each operation, as they should be and not. */
const VALID_RUNS = 12;
const DAMAGED_RUNS = 30;

let world: World;
/** How often each status was answered. */
const statuses = new Map<number, number>();

beforeAll(async () => {
  world = await createWorld();
}, 120_000);

afterAll(() => world.close());

/** Asserts what holds for every answer, whatever was asked. */
function checkAnswer(sent: FuzzedRequest, { status, headers, body }: Answer): void {
  const what = `${sent.method} ${sent.target.slice(0, 200)} ${String(sent.body?.subarray(0, 300))} → ${status} ${body.subarray(0, 500).toString()}`;
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  expect(status, what).toBeLessThan(500);
  expect(headers['x-content-type-options'], what).toBe('nosniff');
  expect(headers['set-cookie'], what).toBeUndefined();
  if (status >= 400 && sent.method !== 'HEAD' && (headers['content-type'] ?? '').includes('json')) {
    const problem = JSON.parse(body.toString()) as { code: string; status: number; detail: string };
    expect(checks.fault(document.components.schemas['Problem'] ?? {}, problem), what).toBeNull();
    expect(problem.status, what).toBe(status);
    expect(Object.keys(ERROR_CATALOGUE)).toContain(problem.code);
    expect(problem.detail.length, what).toBeGreaterThan(10);
    expect(headers['content-type'], what).toMatch(/^application\/problem\+json(;|$)/);
  }
}

/** Asserts that the answer of an operation has the form that its description gives. */
function checkForm(sent: FuzzedRequest, { status, headers, body }: Answer): void {
  const type = headers['content-type'] ?? '';
  const media = mediaOf(sent.operation, status, type);
  expect(media, `${sent.operation.operationId} ${status} ${type}`).toBeDefined();
  if (!/json(;|$)/.test(type)) return;
  expect(
    checks.fault(media?.schema ?? {}, JSON.parse(body.toString())),
    sent.operation.operationId,
  ).toBeNull();
}

/** Why the description refuses the body of a request; null where it does not, or says nothing of it. */
function bodyFault(sent: FuzzedRequest): string | null {
  const schema = sent.operation.requestBody?.content['application/json']?.schema;
  if (!sent.isJson || schema === undefined || sent.method !== sent.operation.method.toUpperCase())
    return null;
  // A body that may be left out may be null as well.
  if (sent.value === null && sent.operation.requestBody?.required === false) return null;
  return checks.fault(schema, JSON.parse(JSON.stringify(sent.value)));
}

/** Sends a request and asserts that, where it is refused, nothing has changed and a line says why. */
async function attempt(sent: FuzzedRequest, token = OPERATOR_TOKEN): Promise<Answer> {
  const before = await world.snapshot();
  const logged = world.lines.length;
  const answer = await exchange(world.address, sent, token);
  checkAnswer(sent, answer);
  if (answer.status >= 400) {
    expect(await world.snapshot(), `${sent.method} ${sent.target} was refused, and changed something`).toBe(
      before,
    );
    expect(
      world.lines.length,
      `${sent.method} ${sent.target} was refused, and nothing logged`,
    ).toBeGreaterThan(logged);
  }
  return answer;
}

function arbitraries(): RequestArbitraries {
  return new RequestArbitraries(document, world.known);
}

describe.each(operations.map((operation): [string, NamedOperation] => [operation.operationId, operation]))(
  '%s',
  (_, operation) => {
    it('answers in the form it is described to', { timeout: FUZZ_TIMEOUT_MS }, async () => {
      await fc.assert(
        fc.asyncProperty(arbitraries().valid(operation), async (sent) =>
          checkForm(sent, await attempt(sent)),
        ),
        parameters(VALID_RUNS),
      );
    });

    it('answers anything, and refuses what its description does', { timeout: FUZZ_TIMEOUT_MS }, async () => {
      await fc.assert(
        fc.asyncProperty(arbitraries().damaged(operation), async (sent) => {
          const fault = bodyFault(sent);
          const { status } = await attempt(sent);
          if (fault !== null)
            expect(status, `${operation.operationId}: ${fault}`).toBeGreaterThanOrEqual(400);
        }),
        parameters(DAMAGED_RUNS),
      );
    });

    it(
      'tells nobody anything without a token, and lets a viewer change nothing',
      { timeout: FUZZ_TIMEOUT_MS },
      async () => {
        await fc.assert(
          fc.asyncProperty(arbitraries().valid(operation), async (sent) => {
            expect((await attempt(sent, 'wrong-token-0123456789')).status).toBe(401);
            if (operation.method !== 'get') expect((await attempt(sent, VIEWER_TOKEN)).status).toBe(403);
          }),
          parameters(3),
        );
      },
    );
  },
);

describe('bytes that are no request', () => {
  const HOST = 'Host: 127.0.0.1\r\nConnection: close\r\n';
  const OWN = `${HOST}Authorization: Bearer ${OPERATOR_TOKEN}\r\nContent-Type: application/json\r\n`;
  it.each<[what: string, bytes: string, status: number]>([
    ['nonsense', 'hello\r\n\r\n', 400],
    ['a header without a name', `GET / HTTP/1.1\r\n: x\r\n${HOST}\r\n`, 400],
    ['headers larger than the limit', `GET / HTTP/1.1\r\n${HOST}X: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    ['an address larger than the limit', `GET /${'x'.repeat(40_000)} HTTP/1.1\r\n${HOST}\r\n`, 431],
    [
      'two lengths',
      `POST /api/v1/runs HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`,
      400,
    ],
    ['a length that is none', `POST /api/v1/runs HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, 400],
    ['a broken chunk', `POST /api/v1/runs HTTP/1.1\r\n${OWN}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
    ['an address with a broken escape', `GET /api/v1/runs/%zz HTTP/1.1\r\n${HOST}\r\n`, 400],
  ])('%s', async (_, bytes, status) => {
    const text = await sendBytes(world.address, bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    const [head = '', body = ''] = text.split('\r\n\r\n', 2);
    expect(head.toLowerCase()).toContain('content-type: application/problem+json');
    expect(head.toLowerCase()).toContain('x-content-type-options: nosniff');
    expect(checks.fault(document.components.schemas['Problem'] ?? {}, JSON.parse(body))).toBeNull();
  });
});

it('answers once where the body of a refused request breaks', async () => {
  const head = 'POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  const text = await sendBytes(world.address, head, '5\r\nhello\r\nzz\r\n');
  expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  expect(text).toMatch(/^HTTP\/1\.1 403 /);
});

it('was asked for all of it: what is done, what is there, and what is refused', () => {
  for (const status of [200, 201, 400, 401, 403, 404])
    expect(statuses.get(status) ?? 0, `${status}`).toBeGreaterThan(0);
});

it('lives on, with no stream left open', async () => {
  const operation = operations.find(({ operationId }) => operationId === 'listRuns');
  if (operation === undefined) throw new Error('expected listRuns');
  const target = '/api/v1/runs';
  const sent = { operation, method: 'GET', target, headers: [], body: null, value: undefined, isJson: false };
  expect((await attempt(sent)).status).toBe(200);
});
