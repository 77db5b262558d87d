/** A dashboard with runs of every kind and state, and a look at all that a request could change. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { planDocument } from '../../src/contract/ledger.ts';
import { runIndexEntry, sourceOfRun, type Run } from '../../src/contract/run.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { recordingLogger, runId } from '../dashboard/support.ts';
import { localResolver, startTestDashboard, TOKENS, type TestDashboard } from '../support/dashboard.ts';
import { fakeRun } from '../support/fake-run.ts';
import { fakeTrainRun } from '../support/fake-train-run.ts';
import { writeDoneRun } from '../support/labelled-run.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { smallModel, tinyPng } from '../support/workspace.ts';
import type { Known } from './api-requests.ts';

const STATES = ['done', 'planning', 'running', 'failed', 'cancelled', 'train', 'gone'] as const;
const RUNS_PER_STATE = 4;
const ITEMS = 7;

export interface World extends TestDashboard {
  readonly known: Known;
  /** What has been logged. */
  readonly lines: readonly Record<string, unknown>[];
  /** Text that differs where the index, a ledger, or the queue does. */
  snapshot(): Promise<string>;
}

export async function createWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-fuzz-'));
  const redis: TestRedis = await startRedis();
  const probe = new Redis(redis.url);
  const resolver = localResolver();
  const home = join(folder, 'home');
  const { logger, lines } = recordingLogger();
  const test = await startTestDashboard({
    redisUrl: redis.url,
    home,
    resolver,
    access: TOKENS,
    locations: [folder],
    logger,
  });
  const runs: string[] = [];
  for (let number = 0; number < STATES.length * RUNS_PER_STATE; number += 1) {
    const out = join(folder, 'runs', String(number));
    const run = await writeRun(
      STATES[number % STATES.length] ?? 'gone',
      number,
      new RunLedger(resolver.open(out)),
    );
    const { spec, createdAt } = run;
    const entry = {
      run: run.run,
      kind: spec.kind,
      out: `file://${out}/`,
      source: sourceOfRun(run),
      createdAt,
    };
    await test.index.add({ schema: runIndexEntry.id, ...entry });
    runs.push(run.run);
  }
  await test.dashboard.app.ready();
  const locations = await writeInputs(folder);
  return {
    ...test,
    lines,
    known: { runs, locations },
    snapshot: async () => `${await probe.dbsize()} keys\n${filesBelow(folder).join('\n')}`,
    close: async () => {
      await test.close();
      probe.disconnect();
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function writeRun(state: (typeof STATES)[number], number: number, ledger: RunLedger): Promise<Run> {
  const run = { ...fakeRun({ shardSize: 3 }), run: runId(number) };
  const train = { ...fakeTrainRun(), run: runId(number) };
  if (state === 'gone') return run;
  if (state === 'train') {
    await ledger.createRun(train);
    await ledger.createPlan({ schema: planDocument.id, run: train.run, shards: 9, items: 90 });
    return train;
  }
  if (state === 'done') {
    const items = Array.from({ length: ITEMS }, (_, index) => ({ uri: `memory://source/${index}.png` }));
    await writeDoneRun(ledger, run, items, ({ uri }) => uri.includes('3'));
    return run;
  }
  await ledger.createRun(run);
  if (state === 'planning') return run;
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards: 3, items: ITEMS });
  if (state === 'cancelled') await ledger.cancel(run.run, new Date());
  if (state === 'failed') {
    const failedAt = '2026-01-02T03:05:00.000Z';
    const told = { code: 'SHARDS_FAILED', message: 'x', shards: [] };
    await ledger.writeFailure({ schema: 'imagemill.failure/1', run: run.run, failedAt, ...told });
  }
  return run;
}

async function writeInputs(folder: string): Promise<Known['locations']> {
  const at = (...names: string[]) => join(folder, ...names);
  mkdirSync(at('images'));
  for (let index = 0; index < 3; index += 1)
    writeFileSync(at('images', `${index}.png`), await tinyPng(index));
  mkdirSync(at('empty'));
  writeFileSync(at('model.safetensors'), smallModel());
  writeFileSync(at('labels.txt'), Array.from({ length: 10 }, (_, id) => `label-${id}`).join('\n'));
  const outs = Array.from({ length: 5 }, (_, index) => at('out', String(index)));
  // What is wrong with one field hides what the others do.
  const often = <T>(value: T): T[] => [value, value, value, value];
  return {
    source: [
      ...often(at('images')),
      at('images'),
      at('images/'),
      at('empty'),
      at('nowhere'),
      at('images', '0.png'),
      at('model.safetensors'),
    ],
    model: [...often(at('model.safetensors')), at('labels.txt'), at('nowhere.onnx')],
    labels: [...often(at('labels.txt')), at('nowhere.txt'), at('images')],
    init: [at('model.safetensors'), at('labels.txt')],
    dataset: [at('images'), at('nowhere'), at('out', '0')],
    out: [...outs, at('images', 'below'), at('model.safetensors')],
    include: [...often('*.png'), '**', '[', '{'],
    exclude: ['*.txt', '!'],
    recipe: ['alexnet-2012', 'alexnet-small', 'no-recipe'],
    settings: ['epochs=1', 'learningRate=-1', 'nothing=1', '='],
  };
}

/** Every file with its size and time of change. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    })
    .toSorted();
}
