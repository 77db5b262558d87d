import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorRowSchema, resultRowSchema, type ErrorRow, type ResultRow } from '../../src/contract/rows.ts';
import { readPart } from '../../src/pipeline/sink/read-part.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { EMPTY_BYTES, HTML_BYTES, makeEveryFormat, makeJpeg, truncate } from '../support/images.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

let workspace: Workspace;
let photos: string;
const at = (name: string) => join(workspace.folder, name);

beforeAll(async () => {
  workspace = await createWorkspace(1);
  photos = at('photos');
  mkdirSync(join(photos, 'deep', 'er'), { recursive: true });
  for (let index = 0; index < 20; index += 1) {
    writeFileSync(join(photos, index % 2 === 0 ? 'deep/er' : '.', `${index}.png`), await tinyPng(index));
  }
  const jpeg = await makeJpeg({ width: 80, height: 60, seed: 1 });
  writeFileSync(join(photos, 'cut.jpg'), truncate(jpeg, 0.5));
  writeFileSync(join(photos, 'empty.png'), EMPTY_BYTES);
  writeFileSync(join(photos, 'page.jpg'), HTML_BYTES);
  writeFileSync(join(photos, 'read-me.txt'), 'not listed: no image by its name');
}, 60_000);

afterAll(() => workspace.remove());

/** Embedded: a private Redis and a worker in the command itself. */
function classify(source: string, out: string, ...more: string[]): Promise<CliResult> {
  return runCli(
    ['classify', source, '--model', workspace.model, '--out', at(out), '--json', '--device', 'cpu', ...more],
    workspace.env,
  );
}

async function rowsOf(out: string): Promise<ResultRow[]> {
  const { stdout } = await runCli(['results', at(out)], workspace.env);
  return lines(stdout).map((line) => resultRowSchema.parse(JSON.parse(line)));
}

const lines = (text: string) => text.split('\n').filter((line) => line !== '');
const names = (rows: readonly { uri: string }[]): string[] =>
  rows.map(({ uri }) => uri.split('/').at(-1) ?? '').sort();

describe('imagemill classify, embedded', { timeout: 120_000 }, () => {
  it('labels a folder, records bad files with a code, and ends with exit code 3', async () => {
    const { code, stdout, stderr } = await classify(photos, 'a', '--shard-size', '7', '--top-k', '3');
    expect(stderr).toBe('');
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      state: 'done',
      items: 23,
      labelled: 20,
      errors: 3,
      shards: 4,
      errorsByCode: { IMAGE_EMPTY: 1, IMAGE_FORMAT_UNKNOWN: 1, IMAGE_TRUNCATED: 1 },
    });
    const rows = await rowsOf('a');
    expect(names(rows)).toEqual(Array.from({ length: 20 }, (_, index) => `${index}.png`).sort());
    for (const row of rows) {
      expect(row).toMatchObject({ width: 8, height: 8 });
      expect(row.labels).toEqual(row.ids.map((id) => `class-${id}`));
      expect(row.scores).toHaveLength(3);
      expect([...row.scores].sort((a, b) => b - a)).toEqual(row.scores);
    }
    const errors = await runCli(['results', at('a'), '--errors'], workspace.env);
    const parsed = lines(errors.stdout).map((line): ErrorRow => errorRowSchema.parse(JSON.parse(line)));
    expect(names(parsed)).toEqual(['cut.jpg', 'empty.png', 'page.jpg']);
  });

  it('answers status and runs from the ledger', async () => {
    const status = await runCli(['status', at('a'), '--json'], workspace.env);
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'done', items: 23, progress: 1, eta: 0 });
    const runs = await runCli(['runs', '--json'], workspace.env);
    const [run] = JSON.parse(runs.stdout) as { run: string; state: string }[];
    expect(run).toMatchObject({ kind: 'classify', state: 'done' });
    const byId = await runCli(['status', run?.run ?? '', '--json'], workspace.env);
    expect(byId.stdout).toBe(status.stdout);
  });

  it('gives the same rows in every format, and results converts between them', async () => {
    const baseline = await rowsOf('a');
    for (const format of ['csv', 'jsonl']) {
      expect((await classify(photos, format, '--format', format, '--top-k', '3')).code).toBe(3);
      const rows = await rowsOf(format);
      const byUri = (a: ResultRow, b: ResultRow) => (a.uri < b.uri ? -1 : 1);
      // Scores may differ in their last bits: batches hold other items.
      expect(rows.sort(byUri).map(({ uri, digest }) => [uri, digest])).toEqual(
        baseline.sort(byUri).map(({ uri, digest }) => [uri, digest]),
      );
    }
    const file = at('converted.parquet');
    await runCli(['results', at('csv'), '--format', 'parquet', '--output', file], workspace.env);
    const converted: ResultRow[] = [];
    for await (const page of readPart(readFileSync(file), 'parquet')) converted.push(...page);
    expect(names(converted)).toEqual(names(baseline));
  });

  it('is deterministic: the same run elsewhere writes the same parts', async () => {
    await classify(photos, 'again', '--shard-size', '7', '--top-k', '3');
    const digests = (out: string) =>
      readdirSync(join(at(out), 'commits')).map((name) => {
        const commit = JSON.parse(readFileSync(join(at(out), 'commits', name), 'utf8')) as {
          part: { digest: string };
        };
        return commit.part.digest;
      });
    expect(digests('again')).toEqual(digests('a'));
  });

  it('adds embeddings and the mean over ten crops where asked to', async () => {
    const { code } = await classify(photos, 'embeddings', '--embeddings', '--crops', '10', '--limit', '5');
    expect(code).toBe(0);
    const rows = await rowsOf('embeddings');
    expect(rows).toHaveLength(5);
    for (const { embedding } of rows) expect(embedding).toHaveLength(1024);
  });

  it('reads a manifest with relative and absolute uris, in its order', async () => {
    writeFileSync(
      at('list.csv'),
      `uri,label\nphotos/1.png,x\n${join(photos, '3.png')},y\nphotos/gone.png,z\n`,
    );
    const { code, stdout } = await classify(at('list.csv'), 'manifest');
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ items: 3, labelled: 2, errorsByCode: { ITEM_NOT_FOUND: 1 } });
    expect((await rowsOf('manifest')).map(({ uri }) => uri.split('/').at(-1))).toEqual(['1.png', '3.png']);
  });

  it('reads WebDataset tars by ranges', async () => {
    mkdirSync(at('tars'), { recursive: true });
    for (const shard of [0, 1]) {
      const files = Array.from({ length: 5 }, (_, index) => `${index * 2 + shard}.png`);
      execFileSync('tar', [
        '-cf',
        join(at('tars'), `00000${shard}.tar`),
        '-C',
        shard === 0 ? join(photos, 'deep/er') : photos,
        ...files,
      ]);
    }
    const { code, stdout } = await classify(at('tars'), 'from-tars');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ items: 10, labelled: 10 });
    expect((await rowsOf('from-tars'))[0]?.uri).toMatch(/000000\.tar#0\.png$/);
  });

  it('takes what the globs leave, and no more than the limit', async () => {
    await classify(photos, 'globs', '--include', 'deep/**/*.png', '--exclude', '**/4.png', '--limit', '8');
    expect(names(await rowsOf('globs'))).toEqual([
      '0.png',
      '10.png',
      '12.png',
      '14.png',
      '16.png',
      '18.png',
      '2.png',
      '6.png',
    ]);
  });

  it('reads every format it promises', async () => {
    mkdirSync(at('formats'));
    const images = Object.entries(await makeEveryFormat({ width: 40, height: 30, seed: 3 }));
    for (const [name, bytes] of images) writeFileSync(at(`formats/${name}.${extensionOf(name)}`), bytes);
    const { code, stdout } = await classify(at('formats'), 'all-formats');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ items: images.length, labelled: images.length });
  });

  it('says nothing on stderr but tells a person what happened on stdout', async () => {
    const out = at('human');
    const { code, stdout, stderr } = await runCli(
      ['classify', photos, '--model', workspace.model, '--out', out],
      workspace.env,
    );
    expect(code).toBe(3);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^r-\w{26} done: 20 images labelled, 3 errors, 1 shards, /);
    expect(stdout).toContain('1 IMAGE_TRUNCATED');
  });
});

function extensionOf(name: string): string {
  return (
    ['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'].find((format) => name.toLowerCase().includes(format)) ??
    'jpg'
  );
}
