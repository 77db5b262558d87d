import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { runProgram } from '../support/program.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { FileStore } from '../../src/storage/file-store.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../pipeline/prepare/support.ts';
import { TestStores } from '../pipeline/source/support.ts';

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
const at = (...names: string[]) => join(workspace.folder, ...names);

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(1)]);
  env = { ...workspace.env, REDIS_URL: redis.url };
  const stores = new TestStores();
  const { ledger } = await prepareDataset(stores, fakePrepareRun(), await twoClasses(stores, 3));
  await new FileStore(at('dataset')).put('dataset.json', await ledger.store.get('dataset.json'));
});

afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

const schedule = (out: string, pattern: string, ...more: string[]) =>
  runProgram(
    ['train', at('dataset'), '--out', at(out), '--recipe', 'alexnet-small', '--cron', pattern, ...more],
    env,
  );
const schedules = (...more: string[]) => runProgram(['schedules', ...more], env);

describe('train --cron and schedules', () => {
  it('keeps a schedule for each output, a later one in place of an earlier one', async () => {
    expect((await schedules()).stdout).toMatch(/^no schedules: /);
    const first = await schedule('nightly', '0 2 * * *', '--json');
    const { schedule: id, ...rest } = JSON.parse(first.stdout) as { schedule: string };
    expect(id).toMatch(/^train-[0-9a-f]{12}$/);
    expect(rest).toEqual({
      pattern: '0 2 * * *',
      dataset: `file://${at('dataset')}/`,
      out: `file://${at('nightly')}/`,
    });
    const settings = ['--batch-size', '4', '--seed', '3', '--set', 'momentum=0.5', '--init', workspace.model];
    const second = await schedule('nightly', '30 3 * * 1', ...settings);
    expect(second.stdout).toMatch(
      new RegExp(`^${id}: trains on .* at "30 3 \\* \\* 1" \\(UTC\\), runs below `),
    );
    await schedule('hourly', '0 * * * *');

    const listed = JSON.parse((await schedules('--json')).stdout) as {
      id: string;
      next: string;
      data: unknown;
    }[];
    expect(listed).toHaveLength(2);
    const nightly = listed.find((entry) => entry.id === id);
    expect(nightly).toMatchObject({
      pattern: '30 3 * * 1',
      next: expect.stringMatching(/T03:30:00\.000Z$/) as string,
      data: {
        dataset: `file://${at('dataset')}/`,
        out: `file://${at('nightly')}/`,
        recipe: 'alexnet-small',
        settings: ['momentum=0.5', 'batchSize=4'],
        seed: 3,
        init: `file://${workspace.model}`,
      },
    });
    expect((await schedules()).stdout).toMatch(
      new RegExp(`^${id} {2}30 3 \\* \\* 1 {2}next \\d{4}-.*Z$`, 'm'),
    );
    // Nothing has been trained, and no run begun.
    expect(await new RunLedger(new FileStore(at('nightly'))).findRun()).toBeNull();

    expect((await schedules('--remove', id)).stdout).toBe(`${id} removed\n`);
    expect(JSON.parse((await schedules('--json')).stdout)).toHaveLength(1);
    await expect(schedules('--remove', id)).rejects.toMatchObject({ code: 'USAGE' });
  });

  it.each<[string, string[], string]>([
    ['61 * * * *', [], 'USAGE'],
    ['0 2 * *', ['--set', 'epochs=many'], 'RECIPE_INVALID'],
    ['0 2 * * *', ['--init', '/no/such/model.safetensors'], 'MODEL_NOT_FOUND'],
  ])('refuses %j with %j at once, not at two in the morning', async (pattern, more, code) => {
    const before = (await schedules('--json')).stdout;
    await expect(schedule('refused', pattern, ...more)).rejects.toMatchObject({ code });
    expect((await schedules('--json')).stdout).toBe(before);
  });
});
