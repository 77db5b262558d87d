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
import { readDigits, type Digits } from './mnist.ts';
import { prepare } from './prepare.ts';
import { duration, number, percent } from './print.ts';
import { committedRows } from './results.ts';
import { train } from './train.ts';

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

/**
 * `imagemill demo`: handwritten digits, from nothing: prepare a dataset, train AlexNet on it, and label digits it has
 * never seen, a few broken files among them.
 */
export async function demo(context: Context, options: DemoOptions): Promise<number> {
  const startedAtMs = performance.now();
  const folder = resolve(options.out);
  const say = (line: string) => context.stderr.write(`${line}\n`);
  const [training, test] = await Promise.all([readDigits('train'), readDigits('test')]);
  const places = {
    training: join(folder, 'digits', 'train'),
    test: join(folder, 'digits', 'test'),
    dataset: join(folder, 'dataset'),
    run: join(folder, 'run'),
    labels: join(folder, 'labels'),
  };
  for (const place of [places.training, places.test]) await mkdir(place, { recursive: true });
  say(
    `Writing ${number(options.trainImages)} handwritten digits to train on, ${number(options.images)} to label`,
  );
  await writeTars(places.training, training, options.trainImages);
  await writeFiles(places.test, test, options.images);
  await writeBrokenFiles(places.test, test.png(0));

  const common = { new: false, wait: true, json: false, device: 'auto', engine: 'onnxruntime' };
  const quiet: Context = { ...context, stdout: context.stderr };
  say(`\n$ imagemill prepare ${places.training} --out ${places.dataset} --format png --short-side ${PIXELS}`);
  const source = { include: [], exclude: [], priority: PRIORITY_DEFAULT.prepare };
  refuse(
    await prepare(quiet, `${pathToFileURL(places.training).href}/`, {
      ...common,
      ...source,
      out: places.dataset,
      shortSide: PIXELS,
      valFraction: 0.05,
      seed: 0,
      shardSize: DIGITS_PER_TAR,
      format: 'png',
    }),
    [EXIT.done],
  );
  say(
    `\n$ imagemill train ${places.dataset} --out ${places.run} --recipe alexnet-small --epochs ${options.epochs}`,
  );
  refuse(
    await train(quiet, places.dataset, {
      ...common,
      out: places.run,
      recipe: 'alexnet-small',
      epochs: options.epochs,
      set: [],
      seed: options.seed,
      checkpointSteps: 200,
      keepCheckpoints: 2,
    }),
    [EXIT.done],
  );
  const model = join(places.run, ledgerKeys.best);
  say(`\n$ imagemill classify ${places.test} --model ${model} --out ${places.labels}`);
  refuse(
    await classify(quiet, `${pathToFileURL(places.test).href}/`, {
      ...common,
      ...source,
      priority: PRIORITY_DEFAULT.classify,
      model,
      out: places.labels,
      topK: 3,
      crops: 1,
      shardSize: SHARD_SIZE,
      format: 'parquet',
      embeddings: false,
    }),
    [EXIT.itemErrors],
  );
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
  for await (const page of committedRows(ledger, run)) {
    for (const row of page) {
      if (rows < ROWS_SHOWN)
        say(`${row.uri.split('/').at(-1)} → ${row.labels[0]} (${row.scores[0]?.toFixed(3)})`);
      rows += 1;
      if (row.uri.endsWith(`-is-${row.labels[0]}.png`)) right += 1;
    }
  }
  return { rows, right };
}
