import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

const PRELOAD = new URL('../support/poison.mjs', import.meta.url).href;
const ITEMS = 24;
/** In two of three shards; two of them share one, even a batch. */
const POISON = { 3: 'crash', 9: 'hang', 10: 'memory' } as const;
const names = Object.keys(POISON).map((index) => nameOf(Number(index)));

let workspace: Workspace;
afterEach(() => workspace.remove());

function nameOf(index: number): string {
  return `${String(index).padStart(6, '0')}.png`;
}

function poisoned(env: Record<string, string>): Record<string, string> {
  return {
    ...env,
    NODE_OPTIONS: `--import ${PRELOAD} --max-old-space-size=256`,
    IMAGEMILL_WATCHDOG_MS: '4000',
    IMAGEMILL_SHARD_ATTEMPTS: '1',
  };
}

describe('images that take the compute process down', () => {
  it('cost themselves only: an error record each, and every other image labelled as in a calm run', async () => {
    workspace = await createWorkspace(ITEMS);
    const { images, model, folder, env } = workspace;
    const classify = (out: string, environment: Record<string, string>) =>
      runCli(
        ['classify', images, '--model', model, '--out', join(folder, out)].concat([
          '--shard-size',
          '15',
          '--batch-size',
          '4',
          '--format',
          'jsonl',
          '--device',
          'cpu',
          '--json',
        ]),
        environment,
      );
    const calm = await classify('calm', env);
    expect(calm.code).toBe(0);

    for (const [index, kind] of Object.entries(POISON)) {
      const path = join(images, nameOf(Number(index)));
      writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from(`poison:${kind}`)]));
    }
    const run = await classify('labels', poisoned(env));
    expect([run.code, run.stderr]).toEqual([3, expect.any(String)]);
    expect(JSON.parse(run.stdout)).toMatchObject({ items: ITEMS, labelled: ITEMS - 3, errors: 3 });

    const rows = async (out: string, ...options: string[]) => {
      const { stdout } = await runCli(['results', join(folder, out), '--format', 'jsonl', ...options], env);
      return stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { uri: string; code?: string; message?: string });
    };
    const isGood = ({ uri }: { uri: string }) => !names.some((name) => uri.endsWith(name));
    expect(await rows('labels')).toEqual((await rows('calm')).filter(isGood));
    const errors = await rows('labels', '--errors');
    expect(errors.map(({ uri, code }) => [uri.slice(-10), code])).toEqual(
      names.map((name) => [name, 'IMAGE_CRASHED']),
    );
    expect(errors[0]?.message).toMatch(/^with this image alone, .*SIGSEGV/);
    expect(errors[1]?.message).toContain('expected progress within 4000 ms, got none');
    expect(errors[2]?.message).toContain('heap');
  }, 120_000);

  it('are left out of a dataset in the same way', async () => {
    workspace = await createWorkspace(0);
    const { images, folder, env } = workspace;
    for (const [index, name] of ['cats', 'dogs'].entries()) {
      mkdirSync(join(images, name));
      for (let item = 0; item < 10; item += 1) {
        writeFileSync(join(images, name, `${item}.png`), await tinyPng(index * 10 + item));
      }
    }
    const deadly = join(images, 'dogs', '4.png');
    writeFileSync(deadly, Buffer.concat([readFileSync(deadly), Buffer.from('poison:crash')]));
    const run = await runCli(
      [
        'prepare',
        images,
        '--out',
        join(folder, 'dataset'),
        '--short-side',
        '4',
        '--shard-size',
        '20',
        '--json',
      ],
      poisoned(env),
    );
    expect([run.code, run.stderr]).toEqual([3, expect.any(String)]);
    expect(JSON.parse(run.stdout)).toMatchObject({ items: 20, errors: 1 });
    const { stdout } = await runCli(['results', join(folder, 'dataset'), '--errors'], env);
    expect(JSON.parse(stdout)).toMatchObject({
      uri: expect.stringContaining('dogs/4.png'),
      code: 'IMAGE_CRASHED',
    });
  }, 60_000);
});
