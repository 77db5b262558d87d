import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runDocument, isTrainRun } from '../../src/contract/run.ts';
import { drawAugmentation } from '../../src/pipeline/augment/draw-augmentation.ts';
import { itemsOfStep } from '../../src/pipeline/augment/shuffle.ts';
import { gridColumns } from '../../src/pipeline/charts/image-grid.ts';
import { applyColour } from '../pipeline/augment/apply-colour.ts';
import { runCli } from '../support/cli.ts';
import { readDataset, readMembers, writeClasses, type PreparedMember } from '../support/datasets.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

/** Pixels of a side of the network's input: images of this size are neither scaled nor cropped. */
const SIDE = 64;
const BATCH = 6;
const GAP = 1;
const SEED = 5;

let redis: TestRedis;
let workspace: Workspace;
let env: Record<string, string>;
const at = (...names: string[]) => join(workspace.folder, ...names);

beforeAll(async () => {
  [redis, workspace] = await Promise.all([startRedis(), createWorkspace(1)]);
  // No worker serves this queue: a run need not have begun for its batches to be drawn.
  env = { ...workspace.env, REDIS_URL: redis.url };
  await writeClasses(at('pets'), ['ant', 'bee', 'cat'], 7, SIDE);
  const { code } = await runCli(
    ['prepare', at('pets'), '--out', at('dataset'), '--format', 'png', '--val-fraction', '0.2'],
    workspace.env,
  );
  expect(code).toBe(0);
}, 60_000);

afterAll(async () => {
  await redis.stop();
  workspace.remove();
});

/** Submits a run whose crop is the whole image. @returns its directory */
async function submit(name: string, ...settings: string[]): Promise<string> {
  const plain = ['augmentation.crop.kind=center-crop', `augmentation.crop.resizeTo=${SIDE}`];
  const { code, stderr } = await runCli(
    ['train', at('dataset'), '--out', at(name), '--recipe', 'alexnet-small', '--no-wait'].concat(
      ['--seed', String(SEED), '--batch-size', String(BATCH), '--epochs', '3'],
      [...plain, 'microBatchSize=2', ...settings].flatMap((setting) => ['--set', setting]),
    ),
    env,
  );
  expect([code, stderr]).toEqual([0, '']);
  return at(name);
}

interface Drawn {
  readonly labels: readonly string[];
  /** (SIDE, SIDE, 3) each, in the order of the grid. */
  readonly tiles: readonly Uint8Array[];
}

async function draw(run: string, epoch: number, step: number): Promise<Drawn> {
  const png = at('batch.png');
  const args = ['train-batch', run, '--epoch', String(epoch), '--step', String(step), '--png', png, '--json'];
  const { code, stdout, stderr } = await runCli(args, env);
  expect([code, stderr]).toEqual([0, '']);
  const { labels, ...document } = JSON.parse(stdout) as { labels: string[] };
  expect(document).toMatchObject({ epoch, step, png });
  expect(labels).toHaveLength(BATCH);
  const columns = gridColumns(BATCH);
  const { width, height } = await sharp(png).metadata();
  const pitch = SIDE + GAP;
  expect([width, height]).toEqual([columns * pitch + GAP, Math.ceil(BATCH / columns) * pitch + GAP]);
  const tiles = labels.map((_, index) => {
    const left = GAP + (index % columns) * pitch;
    const top = GAP + Math.floor(index / columns) * pitch;
    return sharp(png).extract({ left, top, width: SIDE, height: SIDE }).raw().toBuffer();
  });
  return { labels, tiles: await Promise.all(tiles) };
}

/** Items of a batch: positions in the training split. */
function itemsOf(epoch: number, step: number): { item: number; member: PreparedMember }[] {
  const training = readMembers(at('dataset')).filter(({ split }) => split === 'train');
  const items = itemsOfStep({ items: training.length, batchSize: BATCH, epoch, step, seed: SEED });
  return Array.from(items, (item) => {
    const member = training[item];
    if (member === undefined) throw new Error(`expected an item of ${training.length}, got ${item}`);
    return { item, member };
  });
}

const pixelsOf = (bytes: Uint8Array): Promise<Uint8Array> => sharp(bytes).raw().toBuffer();

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? NaN))), 0);
}

describe('imagemill train-batch', { timeout: 60_000 }, () => {
  it('draws the images of the batch as they are, with their labels, where nothing is augmented', async () => {
    const run = await submit('plain', 'augmentation.horizontalFlip=0');
    for (const [epoch, step] of [
      [1, 0],
      [3, 1],
    ] as const) {
      const { labels, tiles } = await draw(run, epoch, step);
      const expected = itemsOf(epoch, step);
      expect(labels).toEqual(expected.map(({ member }) => member.className));
      for (const [index, { member }] of expected.entries()) {
        expect(largestDifference(tiles[index] ?? [], await pixelsOf(member.bytes)), member.key).toBe(0);
      }
    }
  });

  it('draws colours as the graph changes them, and mirror images', async () => {
    const run = await submit(
      'colour',
      ...['pcaNoise=0.4', 'brightness=0.3', 'contrast=0.4', 'saturation=0.5', 'horizontalFlip=0.5'].map(
        (setting) => `augmentation.${setting}`,
      ),
    );
    const document = runDocument.decode(readFileSync(join(run, 'run.json')), run);
    if (!isTrainRun(document)) throw new Error('expected a training run');
    const { augmentation } = document.spec.recipe;
    const dataset = readDataset(at('dataset'));
    const size = { width: SIDE, height: SIDE };
    const { tiles } = await draw(run, 2, 1);
    let [mirroredImages, changedImages] = [0, 0];
    for (const [index, { item, member }] of itemsOf(2, 1).entries()) {
      const draw = { seed: SEED, epoch: 2, item };
      const { colour, mirrored } = drawAugmentation(augmentation, size, size, draw, dataset);
      const source = await sharp(member.bytes).flop(mirrored).raw().toBuffer();
      const expected = applyColour(source, colour).map((value) => Math.min(255, Math.max(0, value)));
      expect(largestDifference(tiles[index] ?? [], expected), member.key).toBeLessThanOrEqual(1);
      mirroredImages += Number(mirrored);
      changedImages += Number(largestDifference(source, expected) > 8);
    }
    expect([mirroredImages > 0, mirroredImages < BATCH, changedImages]).toEqual([true, true, BATCH]);
  });

  it('tells a person what is on the grid', async () => {
    const { stdout } = await runCli(['train-batch', at('plain'), '--step', '1', '--png', at('b.png')], env);
    const names = itemsOf(1, 1).map(({ member }) => member.className);
    expect(stdout).toBe(`6 images of epoch 1, step 1, row by row: ${names.join(', ')}\n`);
  });

  it.each<[string, () => string[], RegExp]>([
    [
      'a step too many',
      () => ['plain', '--step', '99'],
      /an epoch from 1 to 3 and a step from 0 to \d, got 1 and 99/,
    ],
    [
      'an epoch too many',
      () => ['plain', '--epoch', '4'],
      /an epoch from 1 to 3 and .*, got 4 and 0 \[USAGE\]/,
    ],
    [
      'a run of another kind',
      () => ['dataset'],
      /expected a training run, got r-\w{26}, a prepare run \[USAGE\]/,
    ],
    ['no run', () => ['pets'], /expected a run at file:.*pets\/, found no run\.json \[RUN_NOT_FOUND\]/],
  ])('refuses %s in one line', async (_what, args, message) => {
    const [run = '', ...more] = args();
    const { code, stdout, stderr } = await runCli(
      ['train-batch', at(run), ...more, '--png', at('no.png')],
      env,
    );
    expect(stderr).toMatch(/^imagemill: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect([stdout, code, existsSync(at('no.png'))]).toEqual(['', 2, false]);
  });

  it('refuses a place that cannot be written to', async () => {
    const args = ['train-batch', at('plain'), '--png', at('no', 'folder', 'batch.png')];
    const { code, stderr } = await runCli(args, env);
    expect(stderr).toMatch(
      /^imagemill: expected a file to write at .*no\/folder\/batch\.png, got .*ENOENT[^\n]*\n$/,
    );
    expect(code).toBe(2);
  });
});

describe('a training run', { timeout: 60_000 }, () => {
  it('has no rows, and says so; runs, status and resume know it', async () => {
    const run = at('plain');
    const { run: id } = runDocument.decode(readFileSync(join(run, 'run.json')), run);
    const [rows, errors, runs, status, json, resumed] = await Promise.all(
      [
        ['results', run],
        ['results', run, '--errors'],
        ['runs'],
        ['status', run],
        ['status', id, '--json'],
        ['resume', id, '--no-wait'],
      ].map((args) => runCli(args, env)),
    );
    expect([rows?.code, rows?.stdout, rows?.stderr]).toEqual([
      2,
      '',
      `imagemill: expected a run that labels images, got ${id}, a train run [USAGE]\n`,
    ]);
    expect([errors?.code, errors?.stderr]).toEqual([
      2,
      `imagemill: expected a run that reads images, got ${id}, a train run [USAGE]\n`,
    ]);
    expect(runs?.stdout).toMatch(new RegExp(`^${id} .* train     running .*dataset/ → file://${run}/$`, 'm'));
    expect(status?.stdout).toBe(
      `${id} running: alexnet-small, 0 of 3 epochs\nout:    file://${run}/\ndone:   0.0 %\n`,
    );
    expect([resumed?.code, resumed?.stderr, resumed?.stdout]).toEqual([
      0,
      '',
      `${id} running: alexnet-small, 0 of 3 epochs\nout:    file://${run}/\n`,
    ]);
    expect(JSON.parse(json?.stdout ?? '')).toEqual({
      run: id,
      state: 'running',
      out: `file://${run}/`,
      recipe: 'alexnet-small',
      epochs: 0,
      best: null,
      stoppedEarly: null,
      seconds: null,
      imagesPerSecond: 0,
      progress: 0,
      eta: null,
      failure: null,
    });
  });
});
