import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startCollector } from '../support/collector.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createTrainingWorkspace, trainArgs, until, type TrainingWorkspace } from '../support/training.ts';
import { smallModel } from '../support/workspace.ts';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const [INFO, WARN, ERROR] = [30, 40, 50];
const TOKEN = expect.stringMatching(/^[0-9a-f]{20}$/) as string;

let redis: TestRedis;
let workspace: TrainingWorkspace;
let model: string;
let env: Record<string, string>;
const workers: CliProcess[] = [];

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createTrainingWorkspace()]);
  env = { ...workspace.env, REDIS_URL: redis.url };
  model = join(workspace.folder, 'model.safetensors');
  writeFileSync(model, smallModel());
}, 120_000);

afterEach(() => {
  for (const { child } of workers.splice(0)) child.kill('SIGKILL');
});

afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

async function startLogging(extra: Record<string, string> = {}): Promise<CliProcess> {
  const worker = await startWorker({ ...env, IMAGEMILL_LOG_LEVEL: 'info', ...extra });
  workers.push(worker);
  return worker;
}

/** Ends a worker. @returns every line it has logged; what is not JSON is what it tells whoever started it */
async function linesOf(worker: CliProcess): Promise<Line[]> {
  worker.child.kill('SIGTERM');
  const { stderr } = await worker.result;
  const lines = stderr.trimEnd().split('\n');
  const told = lines.filter((line) => !line.startsWith('{'));
  expect(told.map((line) => line.replace(/ .*/, ''))).toEqual(['worker', 'worker']);
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line);
}

/** The name a worker goes by: its host's, and its process's id. */
const nameOf = ({ child }: CliProcess) => expect.stringMatching(new RegExp(`-${child.pid}$`)) as string;

const classifyArgs = (out: string, used = model) =>
  ['classify', workspace.images, '--model', used, '--out', join(workspace.folder, out)].concat([
    '--shard-size',
    '150',
    '--format',
    'jsonl',
    '--json',
  ]);

describe('every line of a worker that concerns a job', { timeout: 120_000 }, () => {
  it('says which: of a run that labels', async () => {
    const worker = await startLogging();
    const { stdout, code } = await runCli(classifyArgs('labels'), env);
    expect(code).toBe(0);
    const { run } = JSON.parse(stdout) as { run: string };
    const lines = await linesOf(worker);
    const plan = {
      worker: nameOf(worker),
      queue: 'plan',
      job: expect.stringMatching(/\.plan\.g\d+$/) as string,
      run,
    };
    const shard = { ...plan, queue: 'classify', job: expect.stringMatching(/\.00000\d\.g\d+$/) as string };
    expect(lines.map(({ msg }) => msg)).toEqual([
      'run planned',
      'shard done',
      'shard done',
      'shard done',
      'run done',
    ]);
    expect(lines.every(({ level }) => level === INFO)).toBe(true);
    expect(lines[0]).toMatchObject({ ...plan, kind: 'classify', shards: 3, items: 450 });
    expect(lines[4]).toMatchObject({ ...plan, kind: 'classify', items: 450, errors: 0 });
    const shards = lines.slice(1, 4).toSorted((a, b) => Number(a['shard']) - Number(b['shard']));
    expect(shards).toMatchObject(
      [0, 1, 2].map((index) => ({ ...shard, shard: index, token: TOKEN, items: 150, errors: 0, won: true })),
    );
    expect(lines.some((line) => 'trace_id' in line)).toBe(false);
  });

  it('says which: of a run that trains', async () => {
    const worker = await startLogging();
    const { stdout, code } = await runCli(trainArgs(workspace.dataset, join(workspace.folder, 'run')), env);
    expect(code).toBe(0);
    const { run } = JSON.parse(stdout) as { run: string };
    const lines = await linesOf(worker);
    const job = expect.stringMatching(/\.e00000\d\.g\d+$/) as string;
    const epoch = { level: INFO, worker: nameOf(worker), queue: 'train', job, run, token: TOKEN };
    expect(lines).toMatchObject([
      { ...epoch, msg: 'epoch done', epoch: 1, won: true },
      { ...epoch, msg: 'epoch done', epoch: 2, won: true },
      { ...epoch, msg: 'run done', epoch: 2, epochs: 2 },
    ]);
  });

  it('names the fault by its code: warnings of attempts, an error of the run', async () => {
    const worker = await startLogging();
    const fragile = join(workspace.folder, 'fragile.safetensors');
    writeFileSync(fragile, smallModel());
    const { code, stdout } = await runCli([...classifyArgs('broken', fragile), '--no-wait'], {
      ...env,
      IMAGEMILL_QUEUE_PREFIX: 'elsewhere',
    });
    expect(code).toBe(0);
    const { run } = JSON.parse(stdout) as { run: string };
    writeFileSync(fragile, smallModel(10, 1));
    const resumed = await runCli(['resume', join(workspace.folder, 'broken'), '--json'], env);
    expect(resumed.code).toBe(1);
    const lines = await linesOf(worker);
    const about = { worker: nameOf(worker), run };
    const failed = lines.filter(({ msg }) => msg === 'shard attempt ended early');
    expect(failed.map(({ shard }) => Number(shard)).toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
    for (const line of failed) {
      expect(line).toMatchObject({ ...about, level: WARN, queue: 'classify', code: 'MODEL_DIGEST_CHANGED' });
    }
    expect(lines.at(-1)).toMatchObject({
      ...about,
      level: ERROR,
      queue: 'plan',
      code: 'SHARDS_FAILED',
      msg: 'run failed',
    });
  });

  it('does not call it a fault that a worker is stopped', async () => {
    // On queues of its own: what is handed back there is nobody's.
    const own = { IMAGEMILL_QUEUE_PREFIX: 'stopped' };
    const worker = await startLogging(own);
    const command = startCli(
      trainArgs(workspace.dataset, join(workspace.folder, 'stopped'), '--epochs', '50'),
      { ...env, ...own },
    );
    workers.push(command);
    await until(() => filesBelow(join(workspace.folder, 'stopped', 'steps')) > 0);
    const lines = await linesOf(worker);
    expect(lines.at(-1)).toMatchObject({
      level: INFO,
      queue: 'train',
      code: 'SHUTDOWN',
      msg: 'epoch handed back: the worker is stopping',
    });
    expect(lines.filter(({ level }) => level > INFO)).toEqual([]);
  });

  it('leads to its trace, while traces are on', async () => {
    const collector = await startCollector();
    const traces = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint };
    const worker = await startLogging(traces);
    const { code } = await runCli(classifyArgs('traced'), { ...env, ...traces });
    expect(code).toBe(0);
    const lines = await linesOf(worker);
    await collector.close();
    expect(lines.length).toBe(5);
    for (const { msg, trace_id: traceId, span_id: spanId } of lines) {
      const name = msg === 'shard done' ? 'imagemill shard' : 'imagemill plan';
      expect(collector.spans.find((span) => span.spanId === spanId)).toMatchObject({ traceId, name });
    }
  });
});

function filesBelow(folder: string): number {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json')).length;
  } catch {
    return 0;
  }
}
