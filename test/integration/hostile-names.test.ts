import { parse } from 'csv-parse/sync';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/storage/digest.ts';
import { runCli } from '../support/cli.ts';
import { HOSTILE_KEYS, HOSTILE_SEGMENTS } from '../support/hostile/names.ts';
import { fileKind, s3Kind, titleOf, type StoreKind } from '../support/object-stores.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const FORMATS = ['jsonl', 'csv', 'parquet'] as const;
type Format = (typeof FORMATS)[number];
/** What is not an image under a name that is as bad: for error records, logs and messages. */
const BROKEN = 'broken-\n\r\u001b[31m\u009b2J"#?%2F.png';

let workspace: Workspace;
beforeAll(async () => {
  workspace = await createWorkspace(0);
});
afterAll(() => workspace.remove());

/** A collection with every name, and where it is. */
interface Collection {
  readonly uri: string;
  /** URI of a key as the user would write it, to compare with. */
  readonly uriOf: (key: string) => string;
  readonly keys: readonly string[];
  readonly env: Record<string, string>;
}

async function inBucket(kind: ReturnType<typeof s3Kind>): Promise<Collection> {
  const uri = await kind.freshUri();
  const bucketBytes = Buffer.byteLength(new URL(uri).pathname.slice(1).replaceAll('%20', ' '));
  const longest = `${'k'.repeat(1_024 - bucketBytes - 4)}.png`;
  const keys = [...HOSTILE_SEGMENTS, ...HOSTILE_KEYS, longest];
  const store = kind.resolver().open(uri);
  for (const [index, key] of keys.entries()) await store.put(key, await tinyPng(index));
  await store.put(BROKEN, Buffer.from('broken'));
  const { endpoint, accessKey, secretKey } = kind.server();
  const env = {
    IMAGEMILL_S3_ENDPOINT: endpoint,
    AWS_ACCESS_KEY_ID: accessKey,
    AWS_SECRET_ACCESS_KEY: secretKey,
  };
  return { uri, uriOf: (key) => uri + key, keys, env };
}

async function inFolder(): Promise<Collection> {
  const folder = join(workspace.folder, 'na mes#?%41');
  const keys = [...HOSTILE_SEGMENTS, ...HOSTILE_SEGMENTS.slice(0, 10).map((name) => `${name}/${name}`)].map(
    (name) => (name.includes('/') ? `deep/${name}` : name),
  );
  for (const [index, key] of keys.entries()) {
    await mkdir(dirname(join(folder, key)), { recursive: true });
    await writeFile(join(folder, key), await tinyPng(index));
  }
  await writeFile(join(folder, BROKEN), 'broken');
  return { uri: folder, uriOf: (key) => pathUri(join(folder, key)), keys, env: {} };
}

/** What RFC 3986 makes of a path: everything but letters, digits and a few marks is encoded. */
function pathUri(path: string): string {
  return `file://${path.split('/').map(encodeURIComponent).join('/')}`;
}

/** One spelling for URIs that mean the same file. */
function spelled(uri: string): string {
  return uri.startsWith('file:') ? pathUri(decodeURIComponent(uri.slice('file://'.length))) : uri;
}

interface Row {
  readonly uri: string;
  readonly digest: string;
}

async function rowsOf(out: string, format: Format): Promise<Row[]> {
  const file = join(workspace.folder, `rows.${format}`);
  const { code, stderr } = await runCli(
    ['results', out, '--format', format, '--output', file],
    workspace.env,
  );
  expect([code, stderr]).toEqual([0, '']);
  const bytes = readFileSync(file);
  if (format === 'parquet') {
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    return (await parquetReadObjects({ file: buffer, compressors })) as unknown as Row[];
  }
  if (format === 'csv') return parse(bytes, { columns: true, record_delimiter: '\r\n' });
  const lines = bytes.toString().split('\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => JSON.parse(line) as Row);
}

const s3 = s3Kind();
const files = fileKind();

describe.each<[StoreKind, Format, () => Promise<Collection>]>([
  [s3, 'parquet', () => inBucket(s3)],
  [files, 'csv', inFolder],
])('names in a $name', { timeout: 120_000 }, (kind, format, collect) => {
  let collection: Collection;
  beforeAll(async () => {
    if (kind.missing !== null) return;
    await kind.start();
    collection = await collect();
  }, 60_000);
  afterAll(async () => {
    if (kind.missing === null) await kind.stop();
  });

  it.skipIf(kind.missing !== null)(`come back as they are, each once: ${titleOf(kind)}`, async () => {
    const { uri, uriOf, keys, env } = collection;
    const out = join(workspace.folder, kind.name);
    const { code, stdout, stderr } = await runCli(
      ['classify', uri, '--model', workspace.model, '--out', out, '--format', format, '--top-k', '2'].concat([
        '--shard-size',
        '20',
        '--device',
        'cpu',
        '--json',
      ]),
      { ...workspace.env, ...env, IMAGEMILL_LOG_LEVEL: 'debug' },
    );
    const report = expect.objectContaining({ labelled: keys.length, errors: 1 }) as object;
    expect([code, JSON.parse(stdout)]).toEqual([3, report]);
    for (const line of stderr.trimEnd().split('\n')) expect(JSON.parse(line)).toBeTypeOf('object');

    for (const read of FORMATS) {
      const rows = await rowsOf(out, read);
      expect(rows.map((row) => spelled(row.uri)).sort()).toEqual(keys.map(uriOf).sort());
      for (const row of rows) {
        const { store, key } = kind.resolver().resolve(row.uri);
        expect(sha256(await store.get(key)), row.uri).toBe(row.digest);
      }
      expect(new Set(rows.map(({ digest }) => digest)).size).toBe(keys.length);
    }
    const errors = await runCli(['results', out, '--errors'], workspace.env);
    const [record, ...none] = errors.stdout.trimEnd().split('\n');
    expect(none).toEqual([]);
    const broken = JSON.parse(record ?? '') as { uri: string; code: string };
    expect([spelled(broken.uri), broken.code]).toEqual([uriOf(BROKEN), 'IMAGE_FORMAT_UNKNOWN']);
  });
});

describe('a terminal', { timeout: 60_000 }, () => {
  /** What the command writes where its output is a terminal: `script` gives it one. */
  async function onTerminal(...args: string[]): Promise<string> {
    const command = [process.execPath, CLI, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    const { stdout } = await promisify(execFile)('script', ['-qec', command.join(' '), '/dev/null'], {
      env: { ...process.env, ...workspace.env },
    }).catch((error: { stdout: string }) => error);
    return stdout;
  }

  const ACTING =
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\r(?!\r?\n)/;

  it.skipIf(s3.missing !== null).each([
    ['csv', ['--format', 'csv']],
    ['errors', ['--errors']],
  ])(
    titleOf(s3).replace('S3 store', 'is sent no control characters of names (%s)'),
    async (_name, options) => {
      // Names of files are percent-encoded in their URIs; those of a bucket are as they are.
      const shown = await onTerminal('results', join(workspace.folder, s3.name), ...options);
      expect(shown).toContain('\\u009b');
      expect(shown).not.toMatch(ACTING);
    },
  );

  it('is sent none in messages', async () => {
    const source = 'no\u001b[31m\u009b2J\u202e there';
    const shown = await onTerminal('classify', source, '--model', workspace.model, '--out', 'labels');
    expect(shown).toMatch(/no.*SOURCE_NOT_FOUND/);
    expect(shown).not.toMatch(ACTING);
  });
});

describe('links in a folder', { timeout: 60_000 }, () => {
  it('are followed to files and folders outside it, but not in circles', async () => {
    const outside = join(workspace.folder, 'outside');
    const source = join(workspace.folder, 'linked');
    await mkdir(outside);
    await mkdir(source);
    await writeFile(join(outside, 'x.png'), await tinyPng(1));
    await symlink(join(outside, 'x.png'), join(source, 'file.png'));
    await symlink(outside, join(source, 'folder'));
    await symlink('.', join(source, 'circle'));
    await symlink('/nonexistent', join(source, 'dangling.png'));
    const out = join(workspace.folder, 'linked-labels');
    const { code, stderr } = await runCli(
      ['classify', source, '--model', workspace.model, '--out', out, '--top-k', '1', '--device', 'cpu'],
      workspace.env,
    );
    expect([code, stderr]).toEqual([0, '']);
    const rows = await rowsOf(out, 'jsonl');
    expect(rows.map(({ uri }) => uri).sort()).toEqual(
      ['file.png', 'folder/x.png'].map((name) => pathUri(join(source, name))),
    );
  });
});
