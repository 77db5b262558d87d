import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the import rule must refuse, and what it must let through, by file. */
const REFUSED: Record<string, string> = {
  'src/contract/a.ts': '../config/environment.ts',
  'src/contract/b.ts': 'ioredis',
  'src/config/a.ts': '../storage/resolver.ts',
  'src/telemetry/a.ts': '../storage/resolver.ts',
  'src/storage/a.ts': '../queue/queues.ts',
  'src/storage/b.ts': '@aws-sdk/client-s3',
  'src/queue/a.ts': '../pipeline/classify-shard.ts',
  'src/queue/b.ts': '../workers/worker.ts',
  'src/pipeline/a.ts': '../queue/queues.ts',
  'src/pipeline/model/deep/b.ts': '../../../workers/worker.ts',
  'src/pipeline/source/c.ts': 'sharp',
  'src/pipeline/model/d.ts': 'onnxruntime-node',
  'src/producer/a.ts': '../workers/worker.ts',
  'src/producer/b.ts': 'bullmq',
  'src/workers/a.ts': '../producer/plan-run.ts',
  'src/workers/b.ts': 'ioredis',
  'src/commands/a.ts': 'bullmq',
  'src/client/a.ts': 'zod',
  'src/client/b.ts': '../storage/resolver.ts',
  'src/client/c.ts': '../contract/errors.ts',
  'src/dashboard/browser/a.ts': '../pages/markup.ts',
  'src/dashboard/browser/b.ts': '../../storage/resolver.ts',
  'src/dashboard/browser/c.ts': 'zod',
};
const ALLOWED: Record<string, string> = {
  'src/contract/ok.ts': 'zod',
  'src/storage/ok.ts': '../contract/errors.ts',
  'src/storage/s3-ok.ts': '@aws-sdk/client-s3',
  'src/queue/ok.ts': 'ioredis',
  'src/pipeline/decode/ok.ts': 'sharp',
  'src/pipeline/engine/onnxruntime/ok.ts': 'onnxruntime-node',
  'src/workers/ok.ts': 'bullmq',
  'src/commands/ok.ts': '../workers/worker.ts',
  'src/dashboard/browser/ok.ts': '../../contract/api/events.ts',
};

it('the linter enforces who may import whom', () => {
  const project = mkdtempSync(join(tmpdir(), 'imagemill-lint-'));
  try {
    copyFileSync(join(root, '.oxlintrc.json'), join(project, '.oxlintrc.json'));
    for (const [file, target] of Object.entries({ ...REFUSED, ...ALLOWED })) {
      mkdirSync(dirname(join(project, file)), { recursive: true });
      writeFileSync(join(project, file), `export * as something from '${target}';\n`);
    }
    const { stdout } = spawnSync(join(root, 'node_modules/.bin/oxlint'), ['--format', 'json'], {
      cwd: project,
      encoding: 'utf8',
    });
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: { filename: string; code: string }[] };
    const refused = diagnostics.filter(({ code }) => code.includes('no-restricted-imports'));
    expect(refused.map(({ filename }) => filename).sort()).toEqual(Object.keys(REFUSED).sort());
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
});
