import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EXIT } from '../contract/errors.ts';
import { isLabelRun } from '../contract/run.ts';
import { createArchitecture } from '../pipeline/model/architectures.ts';
import { initialiseWeights } from '../pipeline/model/init.ts';
import { METADATA_KEYS } from '../pipeline/model/model-metadata.ts';
import { writeSafetensors } from '../pipeline/model/weights/safetensors.ts';
import { encodePng } from '../pipeline/decode/encode-png.ts';
import { RunLedger } from '../storage/run-ledger.ts';
import { classify } from './classify.ts';
import type { Context } from './context.ts';
import { readTestDigits, type Digits } from './mnist.ts';
import { number } from './print.ts';
import { committedRows } from './results.ts';

const CLASSES = 10;
const SEED = 0;
const SHARD_SIZE = 250;
const WRITES_AT_A_TIME = 64;
const ROWS_SHOWN = 3;

/** `imagemill demo`: handwritten digits as PNG files, a few broken ones among them, labelled by an untrained net. */
export async function demo(
  context: Context,
  options: { out: string; images: number; json: boolean },
): Promise<number> {
  const folder = resolve(options.out);
  const say = (line: string) => context.stderr.write(`${line}\n`);
  const digits = await readTestDigits();
  say(`Writing ${number(options.images)} handwritten digits, and 4 broken files, to ${folder}/digits`);
  const folderOfDigits = join(folder, 'digits');
  await mkdir(folderOfDigits, { recursive: true });
  await writeDigits(folderOfDigits, digits, options.images);
  await writeBrokenFiles(folderOfDigits, await digitPng(digits, 0));

  say(`Initialising alexnet-small from seed ${SEED}: it has learnt nothing, so its labels are guesses`);
  const architecture = createArchitecture('alexnet-small', { classes: CLASSES });
  const labels = Array.from({ length: CLASSES }, (_, digit) => String(digit));
  const model = writeSafetensors(initialiseWeights(architecture, SEED), {
    [METADATA_KEYS.architecture]: architecture.name,
    [METADATA_KEYS.labels]: JSON.stringify(labels),
  });
  await writeFile(join(folder, 'digits.safetensors'), model);

  const exitCode = await classify(context, `${pathToFileURL(join(folder, 'digits')).href}/`, {
    model: join(folder, 'digits.safetensors'),
    out: join(folder, 'labels'),
    topK: 3,
    crops: 1,
    shardSize: SHARD_SIZE,
    format: 'parquet',
    embeddings: false,
    include: [],
    exclude: [],
    priority: 0,
    new: true,
    wait: true,
    json: options.json,
    device: 'auto',
    engine: 'onnxruntime',
  });
  if (exitCode !== EXIT.itemErrors) return exitCode === EXIT.done ? EXIT.failed : exitCode;
  await showRows(context, say);
  return EXIT.done;
}

async function writeDigits(folder: string, digits: Digits, count: number): Promise<void> {
  for (let start = 0; start < count; start += WRITES_AT_A_TIME) {
    const indices = Array.from({ length: Math.min(WRITES_AT_A_TIME, count - start) }, (_, i) => start + i);
    await Promise.all(
      indices.map(async (index) =>
        writeFile(
          join(folder, `${String(index).padStart(5, '0')}-is-${digits.label(index)}.png`),
          await digitPng(digits, index),
        ),
      ),
    );
  }
}

function digitPng(digits: Digits, index: number): Promise<Uint8Array> {
  const { width, height } = digits;
  return encodePng(digits.image(index), { width, height, channels: 1 });
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

async function showRows(context: Context, say: (line: string) => void): Promise<void> {
  const [newest] = await context.index.list();
  if (newest === undefined) return;
  const ledger = new RunLedger(context.resolver.open(newest.out));
  const run = await ledger.readRun();
  if (!isLabelRun(run)) return;
  let [rows, right] = [0, 0];
  for await (const page of committedRows(ledger, run)) {
    for (const row of page) {
      if (rows < ROWS_SHOWN)
        say(`${row.uri.split('/').at(-1)} → ${row.labels[0]} (${row.scores[0]?.toFixed(3)})`);
      rows += 1;
      if (row.uri.endsWith(`-is-${row.labels[0]}.png`)) right += 1;
    }
  }
  say(
    `${number(right)} of ${number(rows)} guesses are right (${((100 * right) / rows).toFixed(1)} %; chance is 10 %)`,
  );
}
