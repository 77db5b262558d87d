import { mkdir, open, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PRIORITY_DEFAULT } from '../contract/queues.ts';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import { isLabelRun } from '../contract/run.ts';
import { TarWriter } from '../pipeline/prepare/tar-writer.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import { RunLedger } from '../storage/run-ledger.ts';
import { classify } from './classify.ts';
import type { Context } from './context.ts';
import { withLocalFleet } from './local-fleet.ts';
import { readDigits, type Digits } from './mnist.ts';
import { prepare } from './prepare.ts';
import { duration, number, percent } from './print.ts';
import { committedRows } from '../pipeline/run-results.ts';
import { train } from './train.ts';
import { commandLogger, type LocalWorkerOptions } from './with-queues.ts';

const DIGITS_PER_TAR = 5_000;
const SHARD_SIZE = 1_000;
const PIXELS = 28;
const WRITES_AT_A_TIME = 64;
const ROWS_SHOWN = 3;

export interface DemoOptions {
  readonly out: string;
  readonly trainImages: number;
  readonly images: number;
  readonly epochs: number;
  readonly seed: number;
  readonly json: boolean;
}

/** Where things are in the demo's folder. */
type Places = Readonly<Record<'training' | 'test' | 'dataset' | 'run' | 'labels', string>>;
type Say = (line: string) => void;

const COMMON = { new: false, wait: true, json: false, device: 'auto', engine: 'onnxruntime' };

export const DEMO_DEFAULTS: DemoOptions = {
  out: './imagemill-demo',
  trainImages: 40_000,
  images: 10_000,
  epochs: 2,
  seed: 0,
  json: false,
};

/** `imagemill demo`: the demo on a fleet of its own, whose dashboard can be looked at meanwhile. */
export function demo(context: Context, options: DemoOptions & LocalWorkerOptions): Promise<number> {
  return withLocalFleet({ ...context, logger: commandLogger(context) }, options, (fleet) => {
    context.stderr.write(`Dashboard: ${fleet.address}\n`);
    return runDemo(fleet.context, options);
  });
}

/**
 * Handwritten digits, from nothing: prepares a dataset, trains AlexNet on it, and labels digits it has never seen, a few
 * broken files among them.
 */
export async function runDemo(context: Context, options: DemoOptions): Promise<number> {
  try {
    return await goThrough(context, options);
  } catch (error) {
    // The step that was interrupted has said so.
    if (context.interrupted.aborted) return EXIT.interrupted;
    throw error;
  }
}

async function goThrough(context: Context, options: DemoOptions): Promise<number> {
  const startedAtMs = performance.now();
  const folder = resolve(options.out);
  const say: Say = (line) => context.stderr.write(`${line}\n`);
  const places: Places = {
    training: join(folder, 'digits', 'train'),
    test: join(folder, 'digits', 'test'),
    dataset: join(folder, 'dataset'),
    run: join(folder, 'run'),
    labels: join(folder, 'labels'),
  };
  await writeTrainingDigits(places, options, say);
  const quiet: Context = { ...context, stdout: context.stderr };
  await prepareDigits(quiet, places, say);
  const model = await trainOnDigits(quiet, places, options, say);
  await writeTestDigits(places, options, say);
  await labelDigits(quiet, places, model, say);
  const { rows, right } = await compare(context, places.labels, say);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const accuracy = right / rows;
  say(
    `\n${number(right)} of ${number(rows)} digits it had never seen are right: accuracy ${percent(accuracy)}`,
  );
  say(`From nothing in ${duration(seconds)}. Curves: ${join(places.run, ledgerKeys.curves)}`);
  if (options.json) {
    context.stdout.write(
      `${JSON.stringify({ labelled: rows, right, accuracy, seconds, model, out: folder })}\n`,
    );
  }
  return EXIT.done;
}

async function writeTrainingDigits(places: Places, { trainImages }: DemoOptions, say: Say): Promise<void> {
  const digits = await readDigits('train');
  await mkdir(places.training, { recursive: true });
  say(`Writing ${number(trainImages)} handwritten digits to train on`);
  await writeTars(places.training, digits, trainImages);
}

async function writeTestDigits(places: Places, { images }: DemoOptions, say: Say): Promise<void> {
  const digits = await readDigits('test');
  await mkdir(places.test, { recursive: true });
  say(`\nWriting ${number(images)} more to label, and a few broken files among them`);
  await writeFiles(places.test, digits, images);
  await writeBrokenFiles(places.test, digits.png(0));
}

async function prepareDigits(context: Context, { training, dataset }: Places, say: Say): Promise<void> {
  say(`\n$ imagemill prepare ${training} --out ${dataset} --format png --short-side ${PIXELS}`);
  const exitCode = await prepare(context, `${pathToFileURL(training).href}/`, {
    ...COMMON,
    include: [],
    exclude: [],
    priority: PRIORITY_DEFAULT.prepare,
    out: dataset,
    shortSide: PIXELS,
    valFraction: 0.05,
    seed: 0,
    shardSize: DIGITS_PER_TAR,
    format: 'png',
  });
  refuse(exitCode, [EXIT.done]);
}

/** @returns the model's file */
async function trainOnDigits(
  context: Context,
  { dataset, run }: Places,
  { epochs, seed }: DemoOptions,
  say: Say,
): Promise<string> {
  say(`\n$ imagemill train ${dataset} --out ${run} --recipe alexnet-small --epochs ${epochs}`);
  const exitCode = await train(context, dataset, {
    ...COMMON,
    out: run,
    recipe: 'alexnet-small',
    epochs,
    set: [],
    seed,
    checkpointSteps: 200,
    keepCheckpoints: 2,
  });
  refuse(exitCode, [EXIT.done]);
  return join(run, ledgerKeys.best);
}

async function labelDigits(
  context: Context,
  { test, labels }: Places,
  model: string,
  say: Say,
): Promise<void> {
  say(`\n$ imagemill classify ${test} --model ${model} --out ${labels}`);
  const exitCode = await classify(context, `${pathToFileURL(test).href}/`, {
    ...COMMON,
    include: [],
    exclude: [],
    priority: PRIORITY_DEFAULT.classify,
    model,
    out: labels,
    topK: 3,
    crops: 1,
    shardSize: SHARD_SIZE,
    format: 'parquet',
    embeddings: false,
  });
  refuse(exitCode, [EXIT.itemErrors]);
}

/** A step that ended otherwise than it should ends the demo; the step has said why. */
function refuse(exitCode: number, expected: readonly number[]): void {
  if (expected.includes(exitCode)) return;
  throw new ImagemillError(
    'USAGE',
    `expected the step above to end with ${expected.join()}, got ${exitCode}`,
  );
}

/** Tars as WebDataset has them: `<key>.png` beside `<key>.cls`. */
async function writeTars(folder: string, digits: Digits, count: number): Promise<void> {
  for (let start = 0; start < count; start += DIGITS_PER_TAR) {
    const tar = new TarWriter();
    for (let index = start; index < Math.min(count, start + DIGITS_PER_TAR); index++) {
      const key = String(index).padStart(5, '0');
      tar.add(`${key}.png`, digits.png(index));
      tar.add(`${key}.cls`, new TextEncoder().encode(String(digits.label(index))));
    }
    const name = `digits-${String(start / DIGITS_PER_TAR).padStart(2, '0')}.tar`;
    const file = await open(join(folder, name), 'w');
    await file.writeFile(tar.finish().bytes);
    await file.close();
  }
}

async function writeFiles(folder: string, digits: Digits, count: number): Promise<void> {
  for (let start = 0; start < count; start += WRITES_AT_A_TIME) {
    const indices = Array.from({ length: Math.min(WRITES_AT_A_TIME, count - start) }, (_, i) => start + i);
    await Promise.all(
      indices.map((index) => {
        const name = `${String(index).padStart(5, '0')}-is-${digits.label(index)}.png`;
        return writeFile(join(folder, name), digits.png(index));
      }),
    );
  }
}

/** What every real bucket has some of. */
async function writeBrokenFiles(folder: string, png: Uint8Array): Promise<void> {
  const files: Record<string, Uint8Array | string> = {
    'broken-empty.png': '',
    'broken-truncated.png': png.subarray(0, png.length / 2),
    'broken-page.jpg': '<!DOCTYPE html><title>404 Not Found</title>',
    'broken-noise.png': 'these bytes are not an image',
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
}

/** Holds the labels against the digits' names. */
async function compare(
  context: Context,
  out: string,
  say: (line: string) => void,
): Promise<{ rows: number; right: number }> {
  const ledger = new RunLedger(context.resolver.open(out));
  const run = await ledger.readRun();
  let [rows, right] = [0, 0];
  if (!isLabelRun(run)) return { rows, right };
  for await (const page of committedRows([ledger], run)) {
    for (const row of page) {
      if (rows < ROWS_SHOWN)
        say(`${row.uri.split('/').at(-1)} → ${row.labels[0]} (${row.scores[0]?.toFixed(3)})`);
      rows += 1;
      if (row.uri.endsWith(`-is-${row.labels[0]}.png`)) right += 1;
    }
  }
  return { rows, right };
}
