import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ImagemillClient, type ClientOptions } from '../../src/client/index.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

interface Sent {
  readonly url: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}
type Reply = Response | Error;

const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  });
const problem = (code: string, status: number, retryable: boolean, headers: Record<string, string> = {}) =>
  new Response(
    JSON.stringify({ type: '/errors', title: 't', status, detail: 'expected a, got b', code, retryable }),
    {
      status,
      headers: { 'content-type': 'application/problem+json', ...headers },
    },
  );
const stream = (...texts: string[]) =>
  new Response(new Blob(texts).stream(), { headers: { 'content-type': 'text/event-stream' } });

/** A client whose requests are answered one after the other; the last answer is given again and again. */
function client(replies: readonly (() => Reply)[], more: Partial<ClientOptions> = {}) {
  const sent: Sent[] = [];
  const ownFetch = (async (url: string, init: RequestInit) => {
    const next = replies[Math.min(sent.length, replies.length - 1)];
    sent.push({
      url,
      method: init.method ?? 'GET',
      headers: init.headers as Record<string, string>,
      body: init.body as string | undefined,
    });
    init.signal?.throwIfAborted();
    const reply = next?.() ?? new Error('no reply');
    if (reply instanceof Error) throw reply;
    return reply;
  }) as typeof fetch;
  const options = { baseUrl: 'https://mill.example/base/', token: 'secret', fetch: ownFetch, ...more };
  return { client: new ImagemillClient(options), sent };
}

/** Lets pauses pass until a promise is settled. */
async function settled<T>(promise: Promise<T>): Promise<T> {
  const state = { isSettled: false };
  const end = () => void (state.isSettled = true);
  promise.then(end, end);
  for (let turn = 0; turn < 1_000 && !state.isSettled; turn += 1) await vi.advanceTimersByTimeAsync(100);
  return promise;
}

const away = () => new TypeError('fetch failed');
const SUBMITTED = { run: 'r-1', out: 's3://b/', created: true };
const REQUEST = { kind: 'classify', source: 's', model: 'm', out: 'o' } as const;

describe('requests', () => {
  it('go to the base with the token, the query and the body', async () => {
    const { client: mill, sent } = client([() => json({ runs: [], next: null, matching: 0, pending: 0 })]);
    await mill.listRuns({ kind: 'train', text: 'a b&c' });
    await mill.retry('r-1', { failed: false, priority: 3 });
    await mill.getRun('../../x');
    expect(sent.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['GET', 'https://mill.example/base/api/v1/runs?kind=train&text=a+b%26c', undefined],
      ['POST', 'https://mill.example/base/api/v1/runs/r-1/retry', '{"failed":false,"priority":3}'],
      ['GET', 'https://mill.example/base/api/v1/runs/..%2F..%2Fx', undefined],
    ]);
    expect(sent.every(({ headers }) => headers['authorization'] === 'Bearer secret')).toBe(true);
  });

  it('are sent again where nobody answers or is overloaded, with the key they had', async () => {
    const { client: mill, sent } = client([
      away,
      () => problem('OVERLOADED', 503, true),
      away,
      () => json(SUBMITTED, 201),
    ]);
    expect(await settled(mill.submit(REQUEST))).toEqual(SUBMITTED);
    const keys = sent.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('of two submissions have different keys, unless told otherwise', async () => {
    const { client: mill, sent } = client([() => json(SUBMITTED)]);
    await mill.submit(REQUEST);
    await mill.submit(REQUEST);
    await mill.submit(REQUEST, { idempotencyKey: 'mine' });
    const keys = sent.map(({ headers }) => headers['idempotency-key']);
    expect(new Set(keys).size).toBe(3);
    expect(keys[2]).toBe('mine');
  });

  it('are given up after a bounded number of tries', async () => {
    const { client: mill, sent } = client([away]);
    await expect(settled(mill.getRun('r-1'))).rejects.toThrow('fetch failed');
    expect(sent).toHaveLength(5);
    const { client: once, sent: sentOnce } = client([() => problem('REDIS_UNREACHABLE', 503, true)], {
      attempts: 1,
    });
    await expect(once.getRun('r-1')).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE', status: 503 });
    expect(sentOnce).toHaveLength(1);
  });

  it('wait as long as they are told to', async () => {
    const { client: mill, sent } = client([
      () => problem('OVERLOADED', 503, true, { 'retry-after': '7' }),
      () => json({}),
    ]);
    const answer = mill.getRun('r-1');
    await vi.advanceTimersByTimeAsync(6_900);
    expect(sent).toHaveLength(1);
    await settled(answer);
    expect(sent).toHaveLength(2);
  });

  it('that are refused, or would do something twice, are not sent again', async () => {
    const { client: mill, sent } = client([() => problem('SOURCE_EMPTY', 400, false)]);
    await expect(mill.submit(REQUEST)).rejects.toMatchObject({
      name: 'ApiProblem',
      status: 400,
      code: 'SOURCE_EMPTY',
      detail: 'expected a, got b',
      retryable: false,
      message: 'expected a, got b [SOURCE_EMPTY]',
    });
    expect(sent).toHaveLength(1);
    const { client: other, sent: sentOther } = client([away]);
    await expect(other.retry('r-1', { failed: true })).rejects.toThrow('fetch failed');
    expect(sentOther).toHaveLength(1);
  });

  it('answered by something else become a problem without a code', async () => {
    const page = () =>
      new Response('<h1>Bad gateway</h1>', { status: 502, headers: { 'content-type': 'text/html' } });
    const { client: mill, sent } = client([page]);
    await expect(settled(mill.getRun('r-1'))).rejects.toMatchObject({
      status: 502,
      code: null,
      retryable: true,
    });
    expect(sent).toHaveLength(5);
    const { client: other } = client([() => new Response('no', { status: 404 })]);
    await expect(other.getRun('r-1')).rejects.toMatchObject({ status: 404, code: null, retryable: false });
  });

  it('end when they are told to, in the middle of a pause as well', async () => {
    const { client: mill, sent } = client([away]);
    const stop = new AbortController();
    const answer = mill.getRun('r-1', { signal: stop.signal });
    const refused = expect(answer).rejects.toThrow('enough');
    await vi.advanceTimersByTimeAsync(1);
    stop.abort(new Error('enough'));
    await refused;
    expect(sent).toHaveLength(1);
  });
});

describe('pages', () => {
  it('of rows are followed to the end, also where one is empty', async () => {
    const pages = [
      { rows: [{ uri: 'a' }], next: '0.0.1' },
      { rows: [], next: '0.256.0' },
      { rows: [{ uri: 'b' }, { uri: 'c' }], next: null },
    ];
    let page = 0;
    const { client: mill, sent } = client([() => json(pages[page++ % 3])]);
    const uris: string[] = [];
    for await (const { uri } of mill.results('r-1', { pageSize: 2 })) uris.push(uri);
    expect(uris).toEqual(['a', 'b', 'c']);
    expect(sent.map(({ url }) => url.split('?')[1])).toEqual([
      'limit=2',
      'limit=2&cursor=0.0.1',
      'limit=2&cursor=0.256.0',
    ]);
    const errors: string[] = [];
    for await (const { uri } of mill.errors('r-1')) errors.push(uri);
    expect(errors).toEqual(['a', 'b', 'c']);
  });

  it('of runs are followed to the end', async () => {
    const pages = [
      { runs: [{ run: 'r-2' }], next: 'r-2' },
      { runs: [{ run: 'r-1' }], next: null },
    ];
    let page = 0;
    const { client: mill, sent } = client([() => json(pages[page++])]);
    const ids: string[] = [];
    for await (const { run } of mill.runs({ state: 'done' })) ids.push(run);
    expect(ids).toEqual(['r-2', 'r-1']);
    expect(sent[1]?.url).toMatch(/\?state=done&cursor=r-2$/);
  });
});

describe('events', () => {
  const committed = (id: string, count: number) =>
    `id: ${id}\nevent: committed\ndata: {"type":"committed","run":"r-1","count":${count}}\n\n`;

  it('go on where they were, over connections that break', async () => {
    const { client: mill, sent } = client([
      () => stream('retry: 10\n\nid: b-0\n\n', committed('b-1', 1), 'id: b-2\nevent: comm'),
      away,
      () => problem('OVERLOADED', 503, true),
      () => stream(committed('b-2', 2)),
    ]);
    const stop = new AbortController();
    const seen: unknown[] = [];
    const watching = (async () => {
      for await (const event of mill.events({ run: 'r-1', signal: stop.signal })) {
        seen.push(event);
        if (seen.length === 2) stop.abort();
      }
    })();
    await settled(watching);
    expect(seen).toEqual([
      { type: 'committed', run: 'r-1', count: 1, id: 'b-1' },
      { type: 'committed', run: 'r-1', count: 2, id: 'b-2' },
    ]);
    expect(sent.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, 'b-1', 'b-1', 'b-1']);
    expect(sent[0]?.url).toMatch(/\/events\?run=r-1$/);
  });

  it('are resumed by whoever knows the last one, and end where the dashboard refuses', async () => {
    const { client: mill, sent } = client([() => problem('UNAUTHENTICATED', 401, false)]);
    await expect(mill.events({ lastEventId: 'b-7' }).next()).rejects.toMatchObject({ status: 401 });
    expect(sent[0]?.headers['last-event-id']).toBe('b-7');
  });

  it('tell when a run has ended', async () => {
    const run = (state: string) =>
      `id: b-1\nevent: run\ndata: ${JSON.stringify({ type: 'run', run: { run: 'r-1', state } })}\n\n`;
    const { client: mill } = client([
      () => stream(run('running'), run('done')),
      () => json({ overview: { run: 'r-1', state: 'done' } }),
    ]);
    const states: string[] = [];
    const detail = await mill.wait('r-1', { onChange: ({ state }) => states.push(state) });
    expect(detail.overview.state).toBe('done');
    expect(states).toEqual(['running', 'done']);
  });
});
