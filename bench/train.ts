/** How fast AlexNet is trained: against PyTorch on the same processor, and with data from disk against without. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSettings } from '../src/config/environment.ts';
import { findLibraries } from '../src/pipeline/engine/tensorflow/find-library.ts';
import { tensorflowEnvironment } from '../src/pipeline/engine/tensorflow/process-environment.ts';
import { lastJson, measureInChild, runChild } from './child.ts';
import { listPhotos } from './inputs.ts';
import { CACHE, CORES, describeMachine } from './machine.ts';
import { preparePhotos } from './photos.ts';
import { progress, row, say, sayChecks, writeResults, type Check } from './report.ts';
import { median, medianRatio } from './statistics.ts';

const ARCHITECTURE = 'alexnet-owt';
const CLASSES = 1_000;
const BATCH_SIZE = 64;
const WARM_UP_STEPS = 2;
/** Debian's interpreter: the one that sees python3-torch. */
const PYTHON = '/usr/bin/python3';
/** torch with the reference BLAS needs several times as long: that would be no comparison. */
const PYTHON_CHECK = `
import torch, torchvision
assert torch.backends.mkl.is_available() or 'openblas' in open('/proc/self/maps').read()
`;
const BYTES_PER_MB = 1e6;

const TARGETS = {
  torch: { kind: 'at-least', value: 1 },
  tensorflow: { kind: 'at-least', value: 0.9 },
  data: { kind: 'at-least', value: 0.95 },
  peak: { kind: 'below', value: 4_096 },
} as const;

/** What a child reports. */
export interface TrainMeasurement {
  readonly images: number;
  readonly seconds: number;
  readonly loss: number;
  /** Of the process; absent where nobody asks. */
  readonly peakBytes?: number;
  /** What the process, and all GPUs, hold more than after the warm-up. */
  readonly grownBytes?: number;
  readonly grownGpuBytes?: number | null;
}

interface Repetition {
  readonly synthetic: TrainMeasurement;
  readonly data: TrainMeasurement;
  readonly torch: TrainMeasurement | null;
  /** The engine tensorflow; null where there is none. */
  readonly tensorflow: TrainMeasurement | null;
}

export interface TrainBenchOptions {
  /** Steps of each measurement. */
  readonly steps: number;
  readonly repetitions: number;
  readonly skipPeers: boolean;
  /** Path of the built command. */
  readonly cli: string;
}

export async function benchTrain(options: TrainBenchOptions): Promise<void> {
  const { steps, repetitions } = options;
  const hasTorch = !options.skipPeers && spawnSync(PYTHON, ['-c', PYTHON_CHECK]).status === 0;
  const dataset = await prepareDataset((steps + WARM_UP_STEPS) * BATCH_SIZE, options.cli);
  const counts = [BATCH_SIZE, steps, WARM_UP_STEPS].map(String);
  const hasTensorflow = findLibraries(readSettings(process.env).worker.tensorflowDirectory).some(
    ({ fault }) => fault === null,
  );
  const measured: Repetition[] = [];
  for (let index = 1; index <= repetitions; index++) {
    progress(`repetition ${index} of ${repetitions}`);
    // One after the other, so that whatever slows the machine for minutes slows all of them.
    const synthetic = await measureInChild<TrainMeasurement>(new URL('./measure-train.ts', import.meta.url), [
      ARCHITECTURE,
      ...counts,
      String(CLASSES),
    ]);
    const torch = hasTorch
      ? (lastJson(
          await runChild(PYTHON, ['bench/peers/torch_train.py', ...counts, String(CORES), String(CLASSES)]),
        ) as TrainMeasurement)
      : null;
    const tensorflow = hasTensorflow
      ? await measureInChild<TrainMeasurement>(
          new URL('./measure-train.ts', import.meta.url),
          [ARCHITECTURE, ...counts, String(CLASSES), 'tensorflow', 'cpu'],
          { env: tensorflowEnvironment('cpu', process.env) },
        )
      : null;
    const data = await measureInChild<TrainMeasurement>(new URL('./measure-train-data.ts', import.meta.url), [
      dataset,
      ARCHITECTURE,
      ...counts,
    ]);
    measured.push({ synthetic, data, torch, tensorflow });
  }
  report(measured, options, hasTorch);
  await writeResults('train', {
    settings: { architecture: ARCHITECTURE, classes: CLASSES, batchSize: BATCH_SIZE, steps, repetitions },
    checks: checksOf(measured, hasTorch),
    repetitions: measured,
  });
}

function report(
  measured: readonly Repetition[],
  { steps, repetitions }: TrainBenchOptions,
  hasTorch: boolean,
): void {
  const { cpu } = describeMachine();
  say(
    `\n${ARCHITECTURE} in float32, ${steps} batches of ${BATCH_SIZE}, ${CORES} cores (${cpu}), ${repetitions} repetitions\n`,
  );
  say(row('images/s', [...measured.map((_, index) => `run ${index + 1}`), 'median']));
  const line = (label: string, read: (repetition: Repetition) => TrainMeasurement) => {
    const values = measured.map((repetition) => speedOf(read(repetition)));
    say(row(label, [...values, median(values)]));
  };
  line('imagemill, random pixels', ({ synthetic }) => synthetic);
  line('imagemill, augmented images from disk', ({ data }) => data);
  if (hasTorch) line('PyTorch, random pixels', ({ torch, synthetic }) => torch ?? synthetic);
  else say(row('PyTorch', ['skipped: needs python3-torchvision and libopenblas0-pthread']));
  if (measured.every(({ tensorflow }) => tensorflow !== null)) {
    line('imagemill --engine tensorflow', ({ tensorflow, synthetic }) => tensorflow ?? synthetic);
  } else say(row('--engine tensorflow', ['skipped: needs npm run setup:tensorflow']));
  say();
  sayChecks(checksOf(measured, hasTorch));
}

function checksOf(measured: readonly Repetition[], hasTorch: boolean): Check[] {
  const synthetic = measured.map((repetition) => speedOf(repetition.synthetic));
  const checks: Check[] = [];
  if (hasTorch) {
    const torch = measured.map(({ torch }) => (torch === null ? Number.NaN : speedOf(torch)));
    checks.push({
      name: 'imagemill ÷ PyTorch',
      value: medianRatio(synthetic, torch),
      unit: '×',
      target: TARGETS.torch,
    });
  }
  const pairs = measured.flatMap(({ tensorflow, torch }) =>
    tensorflow === null || torch === null ? [] : [[speedOf(tensorflow), speedOf(torch)] as const],
  );
  if (pairs.length > 0) {
    checks.push({
      name: '--engine tensorflow ÷ PyTorch',
      value: medianRatio(
        pairs.map(([own]) => own),
        pairs.map(([, peer]) => peer),
      ),
      unit: '×',
      target: TARGETS.tensorflow,
    });
  }
  const data = measured.map((repetition) => speedOf(repetition.data));
  checks.push({
    name: 'with data ÷ without',
    value: medianRatio(data, synthetic),
    unit: '×',
    target: TARGETS.data,
  });
  const peak = Math.max(...measured.map(({ synthetic }) => synthetic.peakBytes ?? 0));
  checks.push({ name: 'peak memory', value: peak / BYTES_PER_MB, unit: 'MB', target: TARGETS.peak });
  return checks;
}

function speedOf({ images, seconds }: TrainMeasurement): number {
  return images / seconds;
}

/** A dataset of photos in two classes, made by the command itself. */
async function prepareDataset(images: number, cli: string): Promise<string> {
  const folder = join(CACHE, 'photos');
  const dataset = join(CACHE, `dataset-${images}`);
  if (existsSync(join(dataset, 'dataset.json'))) return dataset;
  progress(`preparing a dataset of ${images} photos in ${CACHE}`);
  await preparePhotos(folder, images);
  const photos = await listPhotos(folder, images);
  const manifest = join(CACHE, `photos-${images}.csv`);
  const lines = photos.map((photo, index) => `${photo},${index % 2 === 0 ? 'even' : 'odd'}`);
  await writeFile(manifest, `uri,label\n${lines.join('\n')}\n`);
  await rm(dataset, { recursive: true, force: true });
  const args = [cli, 'prepare', manifest, '--out', dataset, '--val-fraction', '0'];
  await runChild(process.execPath, args, { env: { IMAGEMILL_HOME: join(CACHE, 'home') } });
  return dataset;
}
