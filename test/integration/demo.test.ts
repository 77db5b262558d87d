import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { readDataset } from '../support/datasets.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

let workspace: Workspace;
beforeAll(async () => {
  workspace = await createWorkspace(1);
});
afterAll(() => workspace.remove());

it('the demo prepares, trains and labels, and digits it has never seen are mostly right', async () => {
  const out = join(workspace.folder, 'demo');
  const { code, stdout, stderr } = await runCli(
    ['demo', '--out', out, '--train-images', '2000', '--epochs', '4', '--images', '300', '--json'],
    workspace.env,
  );
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout) as { labelled: number; right: number; accuracy: number };
  expect(report).toMatchObject({ labelled: 300, out, model: join(out, 'run', 'best.safetensors') });
  expect(report.accuracy).toBe(report.right / 300);
  // Guessing is right one time in ten.
  expect(report.accuracy).toBeGreaterThan(0.8);
  for (const step of ['prepare', 'train', 'classify']) expect(stderr).toContain(`$ imagemill ${step} ${out}`);
  expect(stderr).toMatch(/epoch 4\/4 · loss [\d.]+, error [\d.]+ % · validation loss/);
  expect(stderr).toMatch(/accuracy \d+\.\d\d %\n/);
  expect(existsSync(join(out, 'run', 'curves.png'))).toBe(true);
  expect(readDataset(join(out, 'dataset')).classes).toEqual([...'0123456789']);
  // Every digit and four broken files.
  expect(readdirSync(join(out, 'digits', 'test'))).toHaveLength(304);
}, 180_000);
