import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../support/cli.ts';
import { freePort, startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, smallModel, type Workspace } from '../support/workspace.ts';
import { readSafetensors, writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
const at = (name: string) => join(workspace.folder, name);

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(3)]);
  env = { ...workspace.env, REDIS_URL: redis.url };
  mkdirSync(at('empty'));
  writeFileSync(at('truncated.safetensors'), smallModel().subarray(0, 50_000));
  writeFileSync(
    at('corrupt.onnx'),
    Buffer.concat([Buffer.from([0x08, 0x08, 0x3a, 0xff, 0xff]), Buffer.alloc(64, 7)]),
  );
  writeFileSync(at('text.bin'), 'not a model');
  writeFileSync(at('bad.csv'), 'uri,label\na.png,1\n,2\nc.png,3\n');
  writeFileSync(at('bad.jsonl'), '{"uri":"a.png"}\n{"uri":\n');
  writeFileSync(at('two-labels.txt'), 'a\nb\n');
  const { tensors, metadata } = readSafetensors(smallModel(), 'model');
  const shapes = new Map(tensors);
  const first = shapes.get('features.0.weight');
  if (first === undefined) throw new Error('expected features.0.weight');
  shapes.set('features.0.weight', {
    shape: [first.shape[0] ?? 0, first.data.length / (first.shape[0] ?? 1)],
    data: first.data,
  });
  writeFileSync(at('shapes.safetensors'), writeSafetensors(shapes, metadata));
}, 120_000);

afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

/** What must not happen: an output, or an entry in the index of runs. */
function expectNothingWritten(): void {
  expect(existsSync(at('out'))).toBe(false);
  expect(existsSync(at('home')) ? readdirSync(at('home')) : []).toEqual([]);
}

const classify = (source: string, ...more: string[]) => ['classify', source, '--out', at('out'), ...more];

describe('bad input: one clear line, exit code 2, nothing written', () => {
  const cases: [string, () => string[], RegExp][] = [
    ['an unknown command', () => ['clasify'], /unknown command 'clasify'/],
    [
      'an unknown option',
      () => classify(workspace.images, '--model', workspace.model, '--modle', 'x'),
      /unknown option '--modle'/,
    ],
    ['a missing option', () => classify(workspace.images), /required option '--model <file>'/],
    [
      '--top-k 0',
      () => classify(workspace.images, '--model', workspace.model, '--top-k', '0'),
      /'--top-k <n>'.*from 1 to 1000, got 0/,
    ],
    [
      '--top-k above the classes',
      () => classify(workspace.images, '--model', workspace.model, '--top-k', '11'),
      /at most 10.*got 11/,
    ],
    [
      'an unknown format',
      () => classify(workspace.images, '--model', workspace.model, '--format', 'xml'),
      /Allowed choices are parquet, jsonl, csv/,
    ],
    [
      'a missing model',
      () => classify(workspace.images, '--model', at('no.onnx'), '--top-k', '1'),
      /expected a model file at file:.*no\.onnx, found none \[MODEL_NOT_FOUND\]/,
    ],
    [
      'a truncated model',
      () => classify(workspace.images, '--model', at('truncated.safetensors')),
      /truncated\.safetensors.*\[MODEL_CORRUPT\]/,
    ],
    [
      'wrong tensor shapes',
      () => classify(workspace.images, '--model', at('shapes.safetensors')),
      /features\.0\.weight.*\[MODEL_SHAPE_MISMATCH\]/,
    ],
    [
      'a corrupt ONNX file',
      () => classify(workspace.images, '--model', at('corrupt.onnx')),
      /corrupt\.onnx.*\[MODEL_CORRUPT\]/,
    ],
    [
      'a file that is no model',
      () => classify(workspace.images, '--model', at('text.bin')),
      /text\.bin.*\[MODEL_FORMAT_UNKNOWN\]/,
    ],
    [
      'too few labels',
      () => classify(workspace.images, '--model', workspace.model, '--labels', at('two-labels.txt')),
      /10.*2.*\[MODEL_LABELS_MISMATCH\]/,
    ],
    [
      'a missing source',
      () => classify(at('nowhere'), '--model', workspace.model),
      /nowhere.*\[SOURCE_NOT_FOUND\]/,
    ],
    [
      'an empty source',
      () => classify(at('empty'), '--model', workspace.model),
      /expected images at file:.*empty, found none \[SOURCE_EMPTY\]/,
    ],
    [
      'a malformed CSV manifest',
      () => classify(at('bad.csv'), '--model', workspace.model),
      /bad\.csv line 3.*\[MANIFEST_INVALID\]/,
    ],
    [
      'a malformed JSONL manifest',
      () => classify(at('bad.jsonl'), '--model', workspace.model),
      /bad\.jsonl line 2.*\[MANIFEST_INVALID\]/,
    ],
    [
      'an unknown scheme',
      () => classify('ftp://host/x', '--model', workspace.model),
      /ftp:\/\/host\/x.*\[URI_INVALID\]/,
    ],
    [
      'an output inside the source',
      () => [
        'classify',
        workspace.images,
        '--out',
        join(workspace.images, 'out'),
        '--model',
        workspace.model,
      ],
      /outside the source.*\[OUTPUT_INSIDE_SOURCE\]/,
    ],
    [
      'an unknown run',
      () => ['status', 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA'],
      /r-01JD3ZQ8W5T9V2B6N4K7M1C0XA.*\[RUN_NOT_FOUND\]/,
    ],
    ['a folder that is no run', () => ['results', workspace.images], /expected a run at.*\[RUN_NOT_FOUND\]/],
  ];

  it.each(cases)('%s', async (_name, args, message) => {
    const { code, stdout, stderr } = await runCli(args(), env);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expectNothingWritten();
  });

  it('an unreachable Redis, with its address, in under 15 s', async () => {
    const port = await freePort();
    const startedAt = Date.now();
    const { code, stderr } = await runCli(classify(workspace.images, '--model', workspace.model), {
      ...env,
      REDIS_URL: `redis://user:hunter2@127.0.0.1:${port}`,
    });
    expect(stderr).toMatch(new RegExp(`expected Redis at 127\\.0\\.0\\.1:${port}.*\\[REDIS_UNREACHABLE\\]`));
    expect(stderr).not.toContain('hunter2');
    expect(code).toBe(2);
    expect(Date.now() - startedAt).toBeLessThan(15_000);
    expectNothingWritten();
  });

  it('an unreachable S3, with its address, in under 15 s', async () => {
    const port = await freePort();
    const startedAt = Date.now();
    const { code, stderr } = await runCli(
      ['classify', 's3://photos/a/', '--model', workspace.model, '--out', at('out')],
      {
        ...env,
        IMAGEMILL_S3_ENDPOINT: `http://127.0.0.1:${port}`,
        AWS_ACCESS_KEY_ID: 'key',
        AWS_SECRET_ACCESS_KEY: 'hunter2',
      },
    );
    expect(stderr).toMatch(new RegExp(`127\\.0\\.0\\.1:${port}.*\\[STORE_UNREACHABLE\\]`));
    expect(stderr).not.toContain('hunter2');
    expect(code).toBe(2);
    expect(Date.now() - startedAt).toBeLessThan(15_000);
    expectNothingWritten();
  });

  it('a Redis that wants a password', async () => {
    const guarded = await startRedis(['--requirepass', 'secret']);
    try {
      const { code, stderr } = await runCli(classify(workspace.images, '--model', workspace.model), {
        ...env,
        REDIS_URL: guarded.url,
      });
      expect(stderr).toMatch(/refuses the credentials of REDIS_URL \[REDIS_REFUSED\]/);
      expect(code).toBe(2);
      expectNothingWritten();
    } finally {
      await guarded.stop();
    }
  });

  it('no redis-server and no REDIS_URL', async () => {
    const { code, stderr } = await runCli(classify(workspace.images, '--model', workspace.model), {
      ...workspace.env,
      PATH: '/nonexistent',
    });
    expect(stderr).toMatch(/apt-get install redis-server.*\[REDIS_SERVER_MISSING\]/);
    expect(code).toBe(2);
    expectNothingWritten();
  });

  it('several bad environment variables, all in one line', async () => {
    const { code, stderr } = await runCli(['runs'], { IMAGEMILL_BATCH_SIZE: 'many', IMAGEMILL_LOCK_MS: '1' });
    expect(stderr).toMatch(/IMAGEMILL_BATCH_SIZE=many.*IMAGEMILL_LOCK_MS=1.*\[CONFIG_INVALID\]/);
    expect(code).toBe(2);
  });
});
