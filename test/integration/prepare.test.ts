import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duplicateSchema } from '../../src/contract/dataset.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { readDataset, readMembers, writeFiles } from '../support/datasets.ts';
import { titleNeeding } from '../support/needs.ts';
import {
  expectClose,
  momentsOf,
  photo,
  PHOTO_CLASSES,
  PHOTOS_PER_CLASS,
  writePhotos,
} from '../support/photos.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

/** Debian's Python, which has numpy and Pillow where python3-torchvision is. */
const PYTHON = '/usr/bin/python3';
const hasPython = spawnSync(PYTHON, ['-c', 'import numpy, PIL']).status === 0;

let workspace: Workspace;
let photos: string;
const at = (...names: string[]) => join(workspace.folder, ...names);

beforeAll(async () => {
  workspace = await createWorkspace(1);
  photos = at('photos');
  await writePhotos(photos);
}, 60_000);

afterAll(() => workspace.remove());

function prepare(source: string, out: string, ...more: string[]): Promise<CliResult> {
  return runCli(
    ['prepare', source, '--out', at(out), '--short-side', '48', '--device', 'cpu', ...more],
    workspace.env,
  );
}

const folderArgs = ['--format', 'png', '--val-fraction', '0.4', '--shard-size', '18', '--json'];
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const lines = (text: string) => text.split('\n').filter((line) => line !== '');

describe('imagemill prepare, embedded', { timeout: 120_000 }, () => {
  let first: CliResult;
  const items = PHOTO_CLASSES.length * PHOTOS_PER_CLASS + 4;

  it('makes a dataset, records bad files with a code, and ends with exit code 3', async () => {
    first = await prepare(photos, 'folders', ...folderArgs);
    const { code, stdout, stderr } = first;
    expect(stderr).toBe('');
    expect(code).toBe(3);
    const dataset = readDataset(at('folders'));
    expect(lines(stdout)).toHaveLength(1);
    expect(JSON.parse(stdout)).toEqual({
      run: dataset.run,
      state: 'done',
      out: `file://${at('folders')}/`,
      items,
      prepared: items - 2,
      errors: 2,
      errorsByCode: { IMAGE_TRUNCATED: 1, LABEL_MISSING: 1 },
      classes: 3,
      train: dataset.splits.train.items,
      val: dataset.splits.val.items,
      duplicates: 2,
      conflictingLabels: 1,
      classesWithoutValidation: [],
      meanPixel: dataset.meanPixel,
      digest: dataset.digest,
      seconds: expect.any(Number) as number,
    });
    expect(dataset.classes).toEqual(PHOTO_CLASSES);
    expect(dataset).toMatchObject({ shortSide: 48, encoding: 'png', valFraction: 0.4, seed: 0, errors: 2 });
    expect(dataset.duplicates).toEqual({ contents: 2, items: 4, conflictingLabels: 1 });
    expect(dataset.splits.train.shards.map(({ tar }) => tar)).toEqual([
      'train/000000.tar',
      'train/000001.tar',
    ]);
  });

  it('has every image once, where the index says, in the class of its folder', async () => {
    const members = readMembers(at('folders'));
    const { splits } = readDataset(at('folders'));
    expect(members).toHaveLength(items - 2);
    expect(new Set(members.map(({ uri }) => uri)).size).toBe(items - 2);
    for (const { split, uri, className, digest, bytes, width, height, key } of members) {
      const path = fileURLToPath(uri);
      expect(path.slice(photos.length + 1).split('/')[0]).toBe(className);
      const original = readFileSync(path);
      expect(digest).toBe(digestOf(original));
      const [source, stored] = [await sharp(original).metadata(), await sharp(bytes).metadata()];
      expect([stored.format, stored.width, stored.height]).toEqual(['png', width, height]);
      const isSmall = Math.min(source.width, source.height) <= 48;
      if (isSmall) expect([width, height]).toEqual([source.width, source.height]);
      else expect(Math.min(width, height)).toBe(48);
      expect(key).toMatch(/^00000[01]-\d{8}$/);
      expect(['train', 'val']).toContain(split);
    }
    for (const split of ['train', 'val'] as const) {
      const ofSplit = members.filter((member) => member.split === split);
      expect(splits[split].items).toBe(ofSplit.length);
      expect(splits[split].itemsPerClass).toEqual(
        PHOTO_CLASSES.map((name) => ofSplit.filter(({ className }) => className === name).length),
      );
      expect(ofSplit.length).toBeGreaterThan(0);
    }
  });

  it('has the mean and the covariance of the training pixels, and its principal components', async () => {
    const { meanPixel, covariance, eigenvalues, eigenvectors } = readDataset(at('folders'));
    const training = readMembers(at('folders')).filter(({ split }) => split === 'train');
    const expected = await momentsOf(training.map(({ bytes }) => bytes));
    expectClose(meanPixel, expected.mean);
    expectClose(covariance.flat(), expected.covariance.flat());
    eigenvectors.forEach((vector, rank) => {
      const value = eigenvalues[rank] ?? Number.NaN;
      const image = covariance.map((row) =>
        row.reduce((sum, x, column) => sum + x * (vector[column] ?? 0), 0),
      );
      image.forEach((x, row) => expect(x).toBeCloseTo(value * (vector[row] ?? 0), 6));
    });
    expect(eigenvalues.toSorted((a, b) => b - a)).toEqual(eigenvalues);
  });

  it.skipIf(!hasPython)(
    titleNeeding('python3 with numpy and Pillow', hasPython, "is read by Python's tarfile, numpy agrees"),
    () => {
      const script = `
import glob, io, json, sys, tarfile
import numpy as np
from PIL import Image
members, pixels = [], []
for path in sorted(glob.glob(sys.argv[1] + '/*/*.tar')):
    split, name = path.split('/')[-2:]
    with tarfile.open(path) as tar:
        infos = tar.getmembers()
        assert len(infos) % 2 == 0
        for image, label in zip(infos[::2], infos[1::2]):
            assert image.name.endswith('.png') and label.name == image.name[:-4] + '.cls', (image.name, label.name)
            body = tar.extractfile(image).read()
            members.append([split + '/' + name, image.name[:-4], image.offset_data, image.size, tar.extractfile(label).read().decode()])
            if split == 'train':
                pixels.append(np.asarray(Image.open(io.BytesIO(body)).convert('RGB'), dtype=np.float64).reshape(-1, 3))
pixels = np.concatenate(pixels)
print(json.dumps({'members': members, 'mean': pixels.mean(0).tolist(), 'covariance': np.cov(pixels.T, bias=True).tolist()}))
`;
      const output = JSON.parse(execFileSync(PYTHON, ['-c', script, at('folders')]).toString()) as {
        members: unknown[][];
        mean: number[];
        covariance: number[][];
      };
      const members = readMembers(at('folders'));
      expect(output.members).toEqual(
        members.map(({ tar, key, offset, bytes, className }) => [tar, key, offset, bytes.length, className]),
      );
      const { meanPixel, covariance } = readDataset(at('folders'));
      expectClose(meanPixel, output.mean);
      expectClose(covariance.flat(), output.covariance.flat());
    },
  );

  it('lists contents that occur twice, with their labels, and keeps each in one split', () => {
    const duplicates = lines(readFileSync(at('folders', 'duplicates.jsonl'), 'utf8')).map((line) =>
      duplicateSchema.parse(JSON.parse(line)),
    );
    const names = duplicates.map(({ labels, uris }) => [
      labels,
      uris.map((uri) => fileURLToPath(uri).slice(photos.length + 1)).sort(),
    ]);
    expect(names).toHaveLength(2);
    expect(names).toContainEqual([['cat'], ['cat/000.jpg', 'cat/twin.jpg']]);
    expect(names).toContainEqual([
      ['cat', 'dog'],
      ['cat/001.png', 'dog/not-a-dog.png'],
    ]);
    const splitsOf = new Map<string, Set<string>>();
    for (const { digest, split } of readMembers(at('folders'))) {
      splitsOf.set(digest, (splitsOf.get(digest) ?? new Set()).add(split));
    }
    expect([...splitsOf.values()].map(({ size }) => size)).toEqual([...splitsOf].map(() => 1));
  });

  it('is the same run when it is asked for again, and nothing is written', async () => {
    const stamp = () =>
      readdirSync(at('folders'), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => [parentPath, name, statSync(join(parentPath, name)).mtimeMs]);
    const before = stamp();
    const again = await prepare(photos, 'folders', ...folderArgs);
    expect(again).toEqual(first);
    expect(stamp()).toEqual(before);
    const other = await prepare(photos, 'folders', ...folderArgs, '--seed', '7');
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/^imagemill: .*\(different: seed\).*\[OUTPUT_HOLDS_ANOTHER_RUN\]\n$/);
  });

  it('keeps the split of every image when the collection grows', async () => {
    const grown = at('grown-photos');
    execFileSync('cp', ['-r', photos, grown]);
    for (let index = 0; index < 20; index++) {
      const [key, bytes] = await photo(1_000 + index);
      writeFiles(grown, { [`${index % 2 === 0 ? 'ant' : 'cat'}/new-${key}`]: bytes });
    }
    const { code, stderr } = await prepare(grown, 'grown', ...folderArgs);
    expect([code, stderr]).toEqual([3, '']);
    const splits = new Map(readMembers(at('grown')).map(({ digest, split }) => [digest, split]));
    const old = readMembers(at('folders'));
    expect(readMembers(at('grown')).length).toBe(old.length + 20);
    expect(old.map(({ digest }) => splits.get(digest))).toEqual(old.map(({ split }) => split));
    expect(readDataset(at('grown')).classes).toEqual(['ant', ...PHOTO_CLASSES]);
  });

  it('is seen by runs, status, results and resume as what it is', async () => {
    const { run } = readDataset(at('folders'));
    const imagemill = (...args: string[]) => runCli(args, workspace.env);
    const [runs, status, json, errors, rows, resumed] = await Promise.all([
      imagemill('runs'),
      imagemill('status', run),
      imagemill('status', run, '--json'),
      imagemill('results', run, '--errors'),
      imagemill('results', run),
      imagemill('resume', run, '--json'),
    ]);
    expect(runs.stdout).toMatch(new RegExp(`^${run} .* prepare   done .* → file://${at('folders')}/$`, 'm'));
    expect(status.stdout).toMatch(new RegExp(`^${run} done: 32 images prepared, 2 errors, 2 shards, `));
    expect(status.stdout).toContain('classes:    3\n');
    expect(status.stdout).toContain(
      `errors:     1 IMAGE_TRUNCATED, 1 LABEL_MISSING; imagemill results ${run} --errors`,
    );
    const report = JSON.parse(first.stdout) as object;
    expect(JSON.parse(json.stdout)).toEqual({ ...report, progress: 1, eta: 0, failure: null });
    expect(
      lines(errors.stdout)
        .map((line) => (JSON.parse(line) as { code: string }).code)
        .sort(),
    ).toEqual(['IMAGE_TRUNCATED', 'LABEL_MISSING']);
    expect([rows.code, rows.stdout]).toEqual([2, '']);
    expect(rows.stderr).toBe(
      `imagemill: expected a run that labels images, got ${run}, a prepare run [USAGE]\n`,
    );
    expect([resumed.code, resumed.stderr, JSON.parse(resumed.stdout)]).toEqual([3, '', report]);
  });
});
