import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startCollector, type CollectedSpan, type Collector } from '../support/collector.ts';
import { freePort, startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
const workers: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(12)]);
  env = { ...workspace.env, REDIS_URL: redis.url };
}, 120_000);

afterEach(() => {
  for (const { child } of workers.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

function classifyArgs(out: string, shardSize: number): string[] {
  return [
    'classify',
    workspace.images,
    '--model',
    workspace.model,
    '--out',
    join(workspace.folder, out),
  ].concat(['--shard-size', String(shardSize), '--format', 'jsonl', '--json']);
}

async function stop(worker: CliProcess): Promise<void> {
  worker.child.kill('SIGTERM');
  await worker.result;
}

async function startTracedWorker(collector: Collector): Promise<CliProcess> {
  const worker = await startWorker({ ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint });
  workers.push(worker);
  return worker;
}

/** Names of a span and of all it is part of, the outermost first. */
function pathOf(span: CollectedSpan, spans: readonly CollectedSpan[]): string[] {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  if (span.parentSpanId !== undefined && parent === undefined) return ['(missing)', span.name];
  return parent === undefined ? [span.name] : [...pathOf(parent, spans), span.name];
}

const named = (collector: Collector, name: string) => collector.spans.filter((span) => span.name === name);

describe('traces', () => {
  it('lead from the command over planning and shards to every commit, in one trace', async () => {
    const collector = await startCollector();
    const worker = await startTracedWorker(collector);
    const { code, stdout } = await runCli(classifyArgs('traced', 4), {
      ...env,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20secret',
      OTEL_SERVICE_NAME: 'labelling',
    });
    expect(code).toBe(0);
    await stop(worker);
    await collector.close();
    const { run } = JSON.parse(stdout) as { run: string };

    expect(collector.requests.every(({ path }) => path === '/v1/traces')).toBe(true);
    expect(collector.requests.some(({ headers }) => headers.authorization === 'Bearer secret')).toBe(true);
    expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1);
    const [submission] = named(collector, 'imagemill submit');
    expect(submission).toMatchObject({
      parentSpanId: undefined,
      service: 'labelling',
      attributes: { 'imagemill.run': run, 'imagemill.kind': 'classify' },
    });
    const commits = named(collector, 'commit');
    expect(commits.length).toBe(3);
    for (const commit of commits) {
      expect(pathOf(commit, collector.spans)).toEqual(
        ['imagemill submit', 'add plan.plan', 'process plan', 'imagemill plan', 'addBulk classify'].concat([
          'process classify',
          'imagemill shard',
          'commit',
        ]),
      );
    }
    expect(collector.spans.filter(({ failed }) => failed)).toEqual([]);
    expectShardSpans(collector, run);
    // Planning, and the summary once all shards are there.
    expect(named(collector, 'imagemill plan').map(({ attributes }) => attributes)).toMatchObject([
      { 'imagemill.phase': 'planning', 'imagemill.shards': 3, 'imagemill.items': 12 },
      { 'imagemill.phase': 'waiting' },
    ]);
    // Nothing of BullMQ's own doings.
    expect([...new Set(collector.spans.map(({ name }) => name))].toSorted()).toEqual(
      ['add plan.plan', 'addBulk classify', 'attempt', 'commit', 'imagemill plan', 'imagemill shard'].concat([
        'imagemill submit',
        'process classify',
        'process plan',
      ]),
    );
  }, 60_000);

  it('begin anew, with a link to the plan, from the hundred and first shard on', async () => {
    const big = await createWorkspace(103);
    const collector = await startCollector();
    const worker = await startTracedWorker(collector);
    const { code, stdout } = await runCli(
      ['classify', big.images, '--model', workspace.model, '--out', join(big.folder, 'out'), '--json'].concat(
        ['--shard-size', '1'],
      ),
      { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint },
    );
    await stop(worker);
    await collector.close();
    big.remove();
    expect({ code, shards: (JSON.parse(stdout) as { shards: number }).shards }).toEqual({
      code: 0,
      shards: 103,
    });
    const traceId = named(collector, 'imagemill submit')[0]?.traceId;
    const planning = named(collector, 'imagemill plan').find(
      ({ attributes }) => attributes['imagemill.phase'] === 'planning',
    );
    const shards = named(collector, 'imagemill shard').toSorted(
      (a, b) => Number(a.attributes['imagemill.shard']) - Number(b.attributes['imagemill.shard']),
    );
    expect(shards.map((shard) => shard.traceId === traceId)).toEqual(
      Array.from({ length: 103 }, (_, index) => index < 100),
    );
    const others = shards.slice(100);
    expect(new Set(others.map((shard) => shard.traceId)).size).toBe(3);
    for (const shard of others) {
      expect(shard.links).toEqual([{ traceId, spanId: planning?.spanId }]);
      const commit = named(collector, 'commit').find((span) => span.parentSpanId === shard.spanId);
      expect(commit?.traceId).toBe(shard.traceId);
    }
  }, 120_000);

  it('say with a code of the catalogue what went wrong', async () => {
    const collector = await startCollector();
    const { code } = await runCli(
      [
        'classify',
        join(workspace.folder, 'nowhere'),
        '--model',
        workspace.model,
        '--out',
        join(workspace.folder, 'x'),
      ],
      { ...env, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.endpoint}/own/path` },
    );
    await collector.close();
    expect(code).toBe(2);
    expect(collector.requests.map(({ path }) => path)).toEqual(['/own/path']);
    expect(collector.spans).toMatchObject([
      { name: 'imagemill submit', failed: true, attributes: { 'error.type': 'SOURCE_NOT_FOUND' } },
    ]);
  });

  it('are kept in the share that is asked for', async () => {
    const collector = await startCollector();
    const { code } = await runCli(classifyArgs('unsampled', 12), {
      ...workspace.env,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      OTEL_TRACES_SAMPLER_ARG: '0',
    });
    await collector.close();
    expect(code).toBe(0);
    expect(collector.requests).toEqual([]);
  }, 60_000);
});

/** @param run id of a run of twelve images in three shards */
function expectShardSpans(collector: Collector, run: string): void {
  const shards = named(collector, 'imagemill shard');
  for (const shard of shards) {
    expect(shard.attributes).toMatchObject({
      'imagemill.run': run,
      'imagemill.kind': 'classify',
      'imagemill.items': 4,
      'imagemill.errors': 0,
      'imagemill.won': true,
    });
    const token = shard.attributes['imagemill.token'];
    const children = collector.spans.filter(({ parentSpanId }) => parentSpanId === shard.spanId);
    expect(children.map(({ name }) => name).toSorted()).toEqual(['attempt', 'commit']);
    expect(children.map(({ attributes }) => attributes['imagemill.token'])).toEqual([token, token]);
  }
  expect(
    shards.map(({ attributes }) => Number(attributes['imagemill.shard'])).toSorted((a, b) => a - b),
  ).toEqual([0, 1, 2]);
}

describe('without a collector', () => {
  it('are off unless one is named: neither SDK nor exporter is loaded', async () => {
    const coverage = join(workspace.folder, 'coverage');
    mkdirSync(coverage);
    const { code } = await runCli(classifyArgs('untraced', 12), {
      ...workspace.env,
      NODE_V8_COVERAGE: coverage,
    });
    expect(code).toBe(0);
    const loaded = loadedScripts(coverage);
    // Otherwise the list is not one of all that was loaded.
    expect(loaded.some((url) => url.includes('/dist/telemetry/spans.js'))).toBe(true);
    expect(loaded.filter((url) => /@opentelemetry\/(?!api\/)|bullmq-otel/.test(url))).toEqual([]);
  }, 60_000);

  it.each([
    [
      'is not there',
      async () => ({ endpoint: `http://127.0.0.1:${await freePort()}`, close: async () => {} }),
    ],
    ['answers with errors', () => startCollector({ status: 400 })],
  ])(
    'let a command end well without one that %s, with one warning',
    async (_, open) => {
      const collector = await open();
      const { code, stderr } = await runCli([...classifyArgs('unreachable', 3), '--new'], {
        ...workspace.env,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      });
      await collector.close();
      expect(code).toBe(0);
      const lines = stderr.trimEnd().split('\n');
      expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
        'traces cannot be sent: the collector does not take them',
      ]);
    },
    60_000,
  );

  it('wait three seconds at most for one that does not answer', async () => {
    const collector = await startCollector('never');
    const { result, ms } = await timed(() =>
      runCli(['classify', '/nowhere', '--model', 'x', '--out', join(workspace.folder, 'y')], {
        ...env,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
      }),
    );
    expect(collector.requests.length).toBe(1);
    await collector.close();
    expect(result.code).toBe(2);
    expect(ms).toBeGreaterThan(2_900);
    expect(ms).toBeLessThan(12_000);
  });
});

async function timed<R>(work: () => Promise<R>): Promise<{ result: R; ms: number }> {
  const startMs = performance.now();
  return { result: await work(), ms: performance.now() - startMs };
}

/** Every script that V8 has run in the processes that wrote their coverage here. */
function loadedScripts(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: { url: string }[] };
    return result.map(({ url }) => url);
  });
}
