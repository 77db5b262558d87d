import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METADATA_KEYS } from '../../src/pipeline/model/model-metadata.ts';
import { readSafetensors, writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import { runCli } from '../support/cli.ts';
import { writeClasses, writeFiles } from '../support/datasets.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, smallModel, type Workspace } from '../support/workspace.ts';

let redis: TestRedis;
let workspace: Workspace;
/** With a queue that no worker serves: nothing here may get so far as to need one. */
let env: Record<string, string>;
const at = (...names: string[]) => join(workspace.folder, ...names);

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(1)]);
  env = { IMAGEMILL_HOME: at('home'), REDIS_URL: redis.url };
  await writeClasses(at('pets'), ['class-0', 'class-1'], 10);
  await writeClasses(at('one-class'), ['cat'], 3);
  await writeClasses(at('empty-class'), ['cat', 'dog'], 3);
  mkdirSync(at('empty-class', 'emu'));
  await writeClasses(at('broken-class'), ['cat', 'dog'], 3);
  writeFiles(at('broken-class', 'emu'), { '1.png': 'no image', '2.jpg': '' });
  writeFiles(at(), {
    'one-label.csv': 'uri,label\na.png,cat\nb.png,cat\n',
    'no-label.csv': 'uri\na.png\nb.png\n',
    'text.safetensors': 'not a model',
  });
  const { code } = await runCli(
    ['prepare', at('pets'), '--out', at('dataset'), '--format', 'png', '--val-fraction', '0.2'],
    { IMAGEMILL_HOME: at('home-of-dataset') },
  );
  expect(code).toBe(0);
  for (const [name, change] of Object.entries({
    newer: (text: string) => text.replace('imagemill.dataset/1', 'imagemill.dataset/2'),
    renamed: (text: string) => text.replace('"class-1"', '"class-2"'),
  })) {
    cpSync(at('dataset'), at(name), { recursive: true });
    writeFileSync(at(name, 'dataset.json'), change(readFileSync(at(name, 'dataset.json'), 'utf8')));
  }
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

const prepare = (source: string, ...more: string[]) => ['prepare', source, '--out', at('out'), ...more];
const train = (...more: string[]) =>
  ['train', at('dataset'), '--out', at('out'), '--recipe', 'alexnet-small', '--batch-size', '4'].concat(more);
const evaluate = (...more: string[]) => ['evaluate', at('dataset'), '--out', at('out'), ...more];
const trainOn = (dataset: string) => ['train', at(dataset), '--out', at('out')];

type Case = [what: string, args: () => string[], message: RegExp];

const PREPARING: Case[] = [
  [
    'one class only',
    () => prepare(at('one-class')),
    /one-class: expected a folder for each of two classes or more, got one, "cat" \[DATASET_CLASSES\]/,
  ],
  [
    'an empty class folder',
    () => prepare(at('empty-class')),
    /class "emu": expected images in .*empty-class\/emu, found none.*--exclude "emu\/\*\*" \[DATASET_CLASSES\]/,
  ],
  [
    'a manifest of one label',
    () => prepare(at('one-label.csv')),
    /one-label\.csv: expected labels of two classes or more, got one, "cat" \[DATASET_CLASSES\]/,
  ],
  [
    'a manifest without labels',
    () => prepare(at('no-label.csv')),
    /no-label\.csv: expected labels of two classes or more, got none \[DATASET_CLASSES\]/,
  ],
  [
    '--val-fraction 2',
    () => prepare(at('pets'), '--val-fraction', '2'),
    /'--val-fraction <share>'.*expected a number from 0 to 0\.9, got 2/,
  ],
  ['no source', () => prepare(at('nowhere')), /nowhere.*\[SOURCE_NOT_FOUND\]/],
  [
    'an output inside the source',
    () => ['prepare', at('pets'), '--out', at('pets', 'out')],
    /outside the source.*\[OUTPUT_INSIDE_SOURCE\]/,
  ],
];

const DATASETS: Case[] = [
  [
    'a folder that is no dataset',
    () => trainOn('pets'),
    /expected a prepared dataset at file:.*pets\/, found no dataset\.json; make one with: imagemill prepare SOURCE --out .*\[DATASET_NOT_FOUND\]/,
  ],
  ['no folder at all', () => trainOn('nowhere'), /expected a prepared dataset at .*\[DATASET_NOT_FOUND\]/],
  [
    'a dataset of a newer version',
    () => trainOn('newer'),
    /newer\/dataset\.json: expected a document "imagemill\.dataset\/1", got "imagemill\.dataset\/2" \[CONTRACT_VERSION_UNKNOWN\]/,
  ],
  [
    'a dataset that was changed',
    () => trainOn('renamed'),
    /renamed\/dataset\.json: expected contents with the digest sha256:\w+, got sha256:\w+ \[DATASET_CHANGED\]/,
  ],
  [
    'a batch larger than the dataset',
    () => train('--batch-size', '21'),
    /dataset\/: expected at least a batch of 21 training images, got \d+; use --batch-size \[DATASET_TOO_SMALL\]/,
  ],
];

const RECIPES: Case[] = [
  [
    'an unknown setting, with what was meant, and the known ones',
    () => train('--set', 'lerningRate=1'),
    /expected a known setting, got "lerningRate" \(did you mean learningRate\?\); known: architecture, activation, .*augmentation\.saturation \[RECIPE_INVALID\]/,
  ],
  [
    'a setting with a bad value',
    () => train('--set', 'learningRate=fast'),
    /learningRate: expected a number above 0, got "fast" \[RECIPE_INVALID\]/,
  ],
  [
    'an unknown recipe',
    () => train('--recipe', 'alexnet-2013'),
    /'alexnet-2013' is invalid\. Allowed choices are alexnet-2012, alexnet-caffe, alexnet-owt, alexnet-small/,
  ],
];

const MODELS: Case[] = [
  [
    '--init of another architecture',
    () => train('--recipe', 'alexnet-owt', '--init', workspace.model),
    /expected features\.0\.weight \(64, 3, 11, 11\) of alexnet-owt to start from, got \(16, 3, 5, 5\) \[MODEL_SHAPE_MISMATCH\]/,
  ],
  [
    '--init that is not there',
    () => train('--init', at('gone.safetensors')),
    /expected a model file at file:.*gone\.safetensors, found none \[MODEL_NOT_FOUND\]/,
  ],
  [
    '--init that is no model',
    () => train('--init', at('text.safetensors')),
    /text\.safetensors.*\[MODEL_(FORMAT_UNKNOWN|CORRUPT)\]/,
  ],
  [
    '--crops 3',
    () => evaluate('--model', workspace.model, '--crops', '3'),
    /'--crops <n>'.*expected 1 or 10, got 3/,
  ],
  [
    'a model to evaluate that is not there',
    () => evaluate('--model', at('gone.onnx')),
    /expected a model file at file:.*gone\.onnx, found none \[MODEL_NOT_FOUND\]/,
  ],
  [
    'a model of other classes',
    () => evaluate('--model', at('others.safetensors')),
    /others\.safetensors: expected classes of the dataset \("class-0", "class-1"\), got a model of "cat", "dog".*\[MODEL_LABELS_MISMATCH\]/,
  ],
];

const TIMES: Case[] = [
  [
    '--cron nonsense',
    () => train('--cron', 'nonsense'),
    /--cron: expected five or six fields such as "0 2 \* \* \*", got "nonsense".*\[USAGE\]/,
  ],
  [
    '--cron of a dataset that is not there',
    () => [...trainOn('nowhere'), '--cron', '0 2 * * *'],
    /expected a prepared dataset.*\[DATASET_NOT_FOUND\]/,
  ],
  [
    '--cron with an unknown setting',
    () => train('--cron', '0 2 * * *', '--set', 'x=1'),
    /expected a known setting, got "x".*\[RECIPE_INVALID\]/,
  ],
  [
    '--at nonsense',
    () => train('--at', 'nonsense'),
    /'--at <time>'.*expected a time such as 2026-\S+, got nonsense/,
  ],
  [
    '--at and --cron',
    () => train('--at', '2030-01-01T00:00:00Z', '--cron', '0 2 * * *'),
    /'--cron <expression>' cannot be used with option '--at <time>'/,
  ],
  [
    'a schedule that is none',
    () => ['schedules', '--remove', 'nightly'],
    /expected the id of a schedule, got nightly/,
  ],
];

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
}

/** One clear line, and the exit code of wrong use. */
async function expectRefusal(
  args: readonly string[],
  message: RegExp,
  environment: Readonly<Record<string, string>> = env,
): Promise<void> {
  const { code, stdout, stderr } = await runCli(args, environment);
  expect(stderr).toMatch(/^imagemill: [^\n]+\n$/);
  expect(stderr).toMatch(message);
  expect(stdout).toBe('');
  expect(code).toBe(2);
}

describe('bad input of training commands: one clear line, and nothing written', () => {
  beforeAll(() => writeFileSync(at('others.safetensors'), renamedModel()));

  describe.each([
    ['prepare', PREPARING],
    ['the dataset', DATASETS],
    ['the recipe', RECIPES],
    ['the model', MODELS],
    ['the time', TIMES],
  ])('%s', (_group, cases) => {
    it.concurrent.each(cases)('%s', async (_what, args, message) => {
      await expectRefusal(args(), message);
      expectNothingWritten();
    });
  });

  it.each([
    ['prepare --no-wait', () => prepare(at('pets'), '--no-wait')],
    ['train --no-wait', () => train('--no-wait')],
    ['train --cron', () => train('--cron', '0 2 * * *')],
    ['schedules', () => ['schedules']],
  ])('%s without REDIS_URL', async (_what, args) => {
    await expectRefusal(args(), /expected REDIS_URL.*\[USAGE\]/, { ...env, REDIS_URL: '' });
    expectNothingWritten();
  });
});

describe('bad input that meets a run', { timeout: 60_000 }, () => {
  it('a class whose images are all broken ends the run with one line, which status repeats', async () => {
    const embedded = { IMAGEMILL_HOME: at('home-of-broken') };
    const args = ['prepare', at('broken-class'), '--out', at('broken'), '--val-fraction', '0'];
    const { code, stdout, stderr } = await runCli(args, embedded);
    const reason =
      'DATASET_CLASSES: class "emu": expected training images, got none: all 2 of its images are broken (see errors/)';
    expect(stderr).toBe(`imagemill: ${reason}\n`);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^r-\w{26} failed: 6 images prepared, 2 errors, /);
    expect(existsSync(at('broken', 'dataset.json'))).toBe(false);
    const status = await runCli(['status', at('broken')], embedded);
    expect(status.stdout).toContain(`failed: ${reason}\n`);
    await expectRefusal(
      ['train', at('broken'), '--out', at('out')],
      /found a run that has not written dataset\.json; see: imagemill status .*\[DATASET_NOT_FOUND\]/,
    );
    expectNothingWritten();
  });

  it('an output that holds another run is left as it is', async () => {
    const before = filesOf(at('dataset'));
    await expectRefusal(
      ['train', at('dataset'), '--out', at('dataset'), '--recipe', 'alexnet-small', '--batch-size', '4'],
      /dataset\/ holds r-\w{26} \(a prepare run\); use another --out, or --new \[OUTPUT_HOLDS_ANOTHER_RUN\]/,
    );
    await expectRefusal(
      ['evaluate', at('dataset'), '--model', workspace.model, '--out', at('dataset')],
      /\(a prepare run\).*\[OUTPUT_HOLDS_ANOTHER_RUN\]/,
    );
    expect(filesOf(at('dataset'))).toEqual(before);
    expectNothingWritten();
  });
});

/** A model whose classes are called otherwise. */
function renamedModel(): Uint8Array {
  const { tensors, metadata } = readSafetensors(smallModel(), 'model');
  const labels = ['cat', 'dog', ...Array.from({ length: 8 }, (_, index) => `other-${index}`)];
  return writeSafetensors(tensors, { ...metadata, [METADATA_KEYS.labels]: JSON.stringify(labels) });
}
