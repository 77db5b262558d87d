import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { runCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startCollector } from '../support/collector.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createTrainingWorkspace, trainArgs, type TrainingWorkspace } from '../support/training.ts';

let redis: TestRedis;
let workspace: TrainingWorkspace;
let env: Record<string, string>;
const workers: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createTrainingWorkspace()]);
  env = { ...workspace.env, REDIS_URL: redis.url, IMAGEMILL_LOCK_MS: '1000' };
}, 120_000);

afterEach(() => {
  for (const { child } of workers.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

it('traces the first epoch with its submission, and every other on its own with a link to it', async () => {
  const collector = await startCollector();
  const traced = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint };
  const worker = await startWorker(traced);
  workers.push(worker);
  // With locks of a second it looks for jobs of dead workers four times a second meanwhile: nobody wants to read that.
  await sleep(1_500);
  const { code, stdout } = await runCli(
    trainArgs(workspace.dataset, join(workspace.folder, 'run'), '--epochs', '3'),
    traced,
  );
  worker.child.kill('SIGTERM');
  await worker.result;
  await collector.close();
  expect(code).toBe(0);
  const { run } = JSON.parse(stdout) as { run: string };

  const named = (name: string) => collector.spans.filter((span) => span.name === name);
  const [submission] = named('imagemill submit');
  expect(submission?.attributes).toEqual({ 'imagemill.run': run, 'imagemill.kind': 'train' });
  const epochs = named('imagemill epoch').toSorted(
    (a, b) => Number(a.attributes['imagemill.epoch']) - Number(b.attributes['imagemill.epoch']),
  );
  expect(
    epochs.map(({ attributes }) => [attributes['imagemill.epoch'], attributes['imagemill.won']]),
  ).toEqual([
    [1, true],
    [2, true],
    [3, true],
  ]);
  expect(epochs[0]?.traceId).toBe(submission?.traceId);
  expect(epochs[0]?.links).toEqual([]);
  expect(new Set(epochs.map(({ traceId }) => traceId)).size).toBe(3);
  const first = { traceId: epochs[0]?.traceId, spanId: epochs[0]?.spanId };
  expect(epochs.slice(1).map(({ links }) => links)).toEqual([[first], [first]]);
  for (const epoch of epochs) {
    const children = collector.spans.filter(({ parentSpanId }) => parentSpanId === epoch.spanId);
    expect(children.map(({ name }) => name).filter((name) => !name.startsWith('add '))).toEqual([
      'attempt',
      'commit',
    ]);
    expect(epoch.attributes).toMatchObject({
      'imagemill.run': run,
      'imagemill.token': children[0]?.attributes['imagemill.token'],
    });
  }
  const roots = collector.spans.filter(({ parentSpanId }) => parentSpanId === undefined);
  expect(roots.map(({ name }) => name).toSorted()).toEqual([
    'imagemill submit',
    'process train',
    'process train',
  ]);
}, 180_000);
