import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resultRowSchema, type ResultRow } from '../../src/contract/rows.ts';
import type { Evaluation } from '../../src/pipeline/finish-evaluate.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { readDataset, readMembers, writeClasses } from '../support/datasets.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

/** The model has classes class-0 to class-9; one class of the dataset it does not know. */
const CLASSES = ['class-0', 'class-3', 'class-7', 'zebra'];
const MODEL_CLASSES = 10;
const BINS = 15;

let workspace: Workspace;
const at = (...names: string[]) => join(workspace.folder, ...names);
const imagemill = (...args: string[]) => runCli(args, workspace.env);

beforeAll(async () => {
  workspace = await createWorkspace(1);
  await writeClasses(at('photos'), CLASSES, 10);
  const { code } = await imagemill(
    'prepare',
    at('photos'),
    '--out',
    at('dataset'),
    '--val-fraction',
    '0.5',
    '--format',
    'png',
  );
  expect(code).toBe(0);
}, 60_000);

afterAll(() => workspace.remove());

const evaluate = (...more: string[]) =>
  imagemill('evaluate', at('dataset'), '--model', workspace.model, '--device', 'cpu', ...more);

interface Report {
  readonly run: string;
  readonly out: string;
  readonly items: number;
  readonly top1Error: number;
  readonly top5Error: number;
  readonly calibrationError: number;
}

function reportOf({ code, stdout, stderr }: CliResult): Report {
  expect([stderr, code]).toEqual(['', 0]);
  return JSON.parse(stdout) as Report;
}

async function rowsOf(run: string): Promise<ResultRow[]> {
  const { stdout } = await imagemill('results', run);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => resultRowSchema.parse(JSON.parse(line)));
}

/** The true class of a row, by the index of the dataset. */
function truthOf({ uri }: ResultRow): string {
  const [tar = '', name = ''] = uri.split('#');
  const member = readMembers(at('dataset')).find(
    (member) => tar.endsWith(member.tar) && name === `${member.key}.png`,
  );
  return member?.className ?? `no member for ${uri}`;
}

/** Guo et al. 2017, equation 3, in one sum over bins. */
function calibrationErrorOf(rows: readonly { confidence: number; isRight: boolean }[]): number {
  let error = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const inside = rows.filter(({ confidence }) => confidence > bin / BINS && confidence <= (bin + 1) / BINS);
    const gap = inside.reduce((sum, { confidence, isRight }) => sum + Number(isRight) - confidence, 0);
    error += Math.abs(gap) / rows.length;
  }
  return error;
}

describe('imagemill evaluate, embedded', { timeout: 120_000 }, () => {
  it('compares the validation split with its labels, as the rows of the run say', async () => {
    const report = reportOf(await evaluate('--out', at('evaluation'), '--json'));
    const { items } = readDataset(at('dataset')).splits.val;
    expect(report).toMatchObject({
      items,
      crops: 1,
      split: 'val',
      unreadable: 0,
      out: `file://${at('evaluation')}/`,
      details: `file://${at('evaluation')}/evaluation.json`,
      confusion: `file://${at('evaluation')}/confusion.png`,
    });
    const rows = await rowsOf(report.run);
    expect(rows).toHaveLength(items);
    const judged = rows.map((row) => {
      const truth = truthOf(row);
      return {
        truth,
        predicted: row.labels[0] ?? '',
        confidence: row.scores[0] ?? Number.NaN,
        isRight: row.labels[0] === truth,
        isInFive: row.labels.includes(truth),
      };
    });
    expect(rows.every(({ labels }) => labels.length === 5)).toBe(true);
    const share = (wrong: readonly unknown[]) => wrong.length / items;
    expect(report.top1Error).toBe(share(judged.filter(({ isRight }) => !isRight)));
    expect(report.top5Error).toBe(share(judged.filter(({ isInFive }) => !isInFive)));
    expect(report.calibrationError).toBeCloseTo(calibrationErrorOf(judged), 6);

    const evaluation = JSON.parse(readFileSync(at('evaluation', 'evaluation.json'), 'utf8')) as Evaluation;
    expect(evaluation).toMatchObject({ run: report.run, items, split: 'val', crops: 1, unreadable: 0 });
    expect(evaluation.unknownLabel).toBe(judged.filter(({ truth }) => truth === 'zebra').length);
    expect(evaluation.unknownLabel).toBeGreaterThan(0);
    expect(evaluation.perClass).toEqual(
      Array.from({ length: MODEL_CLASSES }, (_, id) => {
        const ofClass = judged.filter(({ truth }) => truth === `class-${id}`);
        const right = ofClass.filter(({ isRight }) => isRight).length;
        return {
          label: `class-${id}`,
          items: ofClass.length,
          accuracy: ofClass.length === 0 ? null : right / ofClass.length,
        };
      }),
    );
    const counts = (truth: number, predicted: number) =>
      judged.filter((row) => row.truth === `class-${truth}` && row.predicted === `class-${predicted}`).length;
    expect(evaluation.confusion).toEqual(
      Array.from({ length: MODEL_CLASSES }, (_, truth) =>
        Array.from({ length: MODEL_CLASSES }, (_, predicted) => counts(truth, predicted)),
      ),
    );
    const picture = await sharp(at('evaluation', 'confusion.png')).metadata();
    expect(picture.format).toBe('png');
    expect(Math.min(picture.width, picture.height)).toBeGreaterThan(200);
  });

  it('takes the mean over ten crops, of the split it is told, below IMAGEMILL_HOME where it is not told otherwise', async () => {
    const report = reportOf(await evaluate('--crops', '10', '--split', 'train', '--json'));
    const { items } = readDataset(at('dataset')).splits.train;
    expect(report).toMatchObject({ items, crops: 10, split: 'train' });
    expect(report.out).toMatch(new RegExp(`^file://${at('home')}/evaluations/[0-9A-Z]{26}/$`));
    const folder = fileURLToPath(report.out);
    expect(existsSync(join(folder, 'evaluation.json')) && existsSync(join(folder, 'confusion.png'))).toBe(
      true,
    );
    const rows = await rowsOf(report.run);
    const wrong = rows.filter((row) => row.labels[0] !== truthOf(row));
    expect([rows.length, report.top1Error]).toEqual([items, wrong.length / items]);
    const centre = await rowsOf(reportOf(await evaluate('--split', 'train', '--json')).run);
    expect(centre.map(({ uri }) => uri)).toEqual(rows.map(({ uri }) => uri));
    expect(centre.map(({ scores }) => scores)).not.toEqual(rows.map(({ scores }) => scores));
  });

  it('tells a person, and is seen by runs, status and resume as what it is', async () => {
    const out = at('evaluation');
    const again = await evaluate('--out', out);
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(again.stdout).toMatch(
      /^\d+ images, centre crop: top-1 error [\d.]+ %, top-5 error [\d.]+ %, calibration error [\d.]+ %\n/,
    );
    const [runs, status, json, resumed] = await Promise.all([
      imagemill('runs'),
      imagemill('status', out),
      imagemill('status', out, '--json'),
      imagemill('resume', out, '--json'),
    ]);
    const report = reportOf(resumed);
    expect(runs.stdout).toMatch(
      new RegExp(`^${report.run} .* evaluate  done .*dataset/val/ → file://${out}/$`, 'm'),
    );
    expect(status.stdout).toMatch(
      new RegExp(`^${report.run} done: ${report.items} images labelled, 0 errors, `),
    );
    expect(status.stdout).toContain(again.stdout.split('\n')[0]);
    expect(JSON.parse(json.stdout)).toMatchObject({ state: 'done', items: report.items, evaluation: report });
  });

  it('counts images that cannot be read any more, and ends with exit code 3', async () => {
    cpSync(at('dataset'), at('damaged'), { recursive: true });
    const [victim] = readMembers(at('damaged')).filter(({ split }) => split === 'val');
    if (victim === undefined) throw new Error('expected a validation image');
    const tar = readFileSync(at('damaged', victim.tar));
    writeFileSync(at('damaged', victim.tar), tar.fill(7, victim.offset, victim.offset + victim.bytes.length));
    const args = ['evaluate', at('damaged'), '--model', workspace.model, '--device', 'cpu', '--json'];
    const { code, stdout, stderr } = await imagemill(...args);
    expect([code, stderr]).toEqual([3, '']);
    const { items } = readDataset(at('dataset')).splits.val;
    expect(JSON.parse(stdout)).toMatchObject({ items: items - 1, unreadable: 1 });
  });
});
