import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resultRowSchema } from '../../src/contract/rows.ts';
import { runCli } from '../support/cli.ts';
import { readDataset } from '../support/datasets.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

let workspace: Workspace;
beforeAll(async () => {
  workspace = await createWorkspace(1);
});
afterAll(() => workspace.remove());

it('the demo prepares, trains and labels, and counts what is right', { timeout: 120_000 }, async () => {
  const out = join(workspace.folder, 'demo');
  // A thousand digits are too few to learn from: this is about the way, not about the accuracy at its end.
  const { code, stdout, stderr } = await runCli(
    ['demo', '--out', out, '--train-images', '1000', '--epochs', '1', '--images', '100', '--json'],
    workspace.env,
  );
  expect(code, stderr).toBe(0);
  const results = await runCli(['results', join(out, 'labels')], workspace.env);
  const rows = results.stdout
    .trimEnd()
    .split('\n')
    .map((line) => resultRowSchema.parse(JSON.parse(line)));
  const right = rows.filter(({ uri, labels }) => uri.endsWith(`-is-${labels[0]}.png`)).length;
  expect(rows).toHaveLength(100);
  expect(JSON.parse(stdout)).toEqual({
    labelled: 100,
    right,
    accuracy: right / 100,
    seconds: expect.any(Number) as number,
    model: join(out, 'run', 'best.safetensors'),
    out,
  });
  for (const step of ['prepare', 'train', 'classify']) expect(stderr).toContain(`$ imagemill ${step} ${out}`);
  expect(stderr).toMatch(/epoch 1\/1 · loss [\d.]+, error [\d.]+ % · validation loss/);
  expect(stderr).toMatch(/^errors: .*IMAGE_EMPTY/m);
  expect(stderr).toContain(`${right} of 100 digits it had never seen are right: accuracy `);
  expect(existsSync(join(out, 'run', 'curves.png'))).toBe(true);
  const { classes, splits } = readDataset(join(out, 'dataset'));
  expect(classes).toEqual(Array.from({ length: 10 }, (_, digit) => String(digit)));
  expect(splits.train.items + splits.val.items).toBe(1_000);
  // Every digit and four broken files.
  expect(readdirSync(join(out, 'digits', 'test'))).toHaveLength(104);
});
