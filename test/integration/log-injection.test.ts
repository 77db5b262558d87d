import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runIndexEntry } from '../../src/contract/run.ts';
import { createArchitecture } from '../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../src/pipeline/model/init.ts';
import { METADATA_KEYS } from '../../src/pipeline/model/model-metadata.ts';
import { writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

/** Begins a line that looks like one of ours, one that looks like a log, and rewrites what a terminal shows. */
const FORGED =
  'x\r\nimagemill: all is well [OK]\n{"level":60,"msg":"forged"}\u001B[2J\u001B]0;title\u0007\u009B1m\u202Egnp';

let workspace: Workspace;

beforeAll(async () => {
  workspace = await createWorkspace(1);
});
afterAll(() => workspace.remove());

/** Every line was begun by us, and none moves the cursor. */
function expectNothingForged({ stdout, stderr }: CliResult): void {
  const lines = `${stdout}${stderr}`.split('\n');
  expect(lines.filter((line) => /^\s*(imagemill: all is well|\{"level":60)/.test(line))).toEqual([]);
  expect(lines.join('')).not.toMatch(/[\p{Cc}\u202E]/u);
}

describe('text of strangers', { timeout: 60_000 }, () => {
  it.each([
    ['source', (text: string) => ['classify', text, '--model', 'm.onnx', '--out', 'out']],
    ['uri', (text: string) => ['results', `s3://${text}/`]],
    ['run', (text: string) => ['status', `r-${text}`]],
    ['option', (text: string) => ['classify', '.', '--model', 'm', '--out', 'o', '--device', text]],
  ])('in a %s is one line of a fault', async (_, argv) => {
    const told = await runCli(argv(FORGED), workspace.env, workspace.folder);
    expect(told.code).toBe(2);
    expect(told.stderr).toMatch(/^imagemill: .* \[[A-Z_\d]+\]\n$|^imagemill: .*\n$/);
    expectNothingForged(told);
  });

  it('in keys of images and of the output is one line of logs and reports', async () => {
    const images = join(workspace.folder, `pictures ${FORGED.replaceAll('/', '')}`);
    mkdirSync(images);
    writeFileSync(join(images, `a${FORGED.replaceAll('/', '')}.png`), await tinyPng(1));
    writeFileSync(join(images, `b${FORGED.replaceAll('/', '')}.png`), 'no image');
    const out = join(workspace.folder, `out ${FORGED.replaceAll('/', '')}`);
    const env = { ...workspace.env, IMAGEMILL_LOG_LEVEL: 'trace' };
    const done = await runCli(['classify', images, '--model', workspace.model, '--out', out], env);
    expect(done.code).toBe(3);
    expectNothingForged(done);
    for (const argv of [['status', out], ['runs'], ['results', out], ['results', out, '--errors']]) {
      expectNothingForged(await runCli(argv, env));
    }
  });

  it('in labels of a model, and in an index of runs that others write to, is one line of what is shown', async () => {
    const architecture = createArchitecture('alexnet-small', { classes: 2 });
    const model = join(workspace.folder, 'labels.safetensors');
    writeFileSync(
      model,
      writeSafetensors(initialiseWeights(architecture, 0), {
        [METADATA_KEYS.architecture]: architecture.name,
        [METADATA_KEYS.labels]: JSON.stringify([FORGED, 'b']),
      }),
    );
    const info = await runCli(['model', 'info', model], workspace.env);
    expect(info.code).toBe(0);
    expect(info.stdout.trimEnd().split('\n')).toHaveLength(6);
    expectNothingForged(info);

    const run = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';
    const home = join(workspace.folder, 'others');
    mkdirSync(join(home, 'runs'), { recursive: true });
    const entry = {
      schema: runIndexEntry.id,
      run,
      kind: 'classify',
      createdAt: '2026-01-02T03:04:05.000Z',
    } as const;
    writeFileSync(
      join(home, 'runs', `${run}.json`),
      runIndexEntry.encode({ ...entry, source: FORGED, out: `${workspace.folder}/${FORGED}/` }),
    );
    const runs = await runCli(['runs'], { IMAGEMILL_HOME: home });
    expect([runs.code, runs.stdout.trimEnd().split('\n')]).toEqual([0, [expect.stringContaining(run)]]);
    expectNothingForged(runs);
  });
});
