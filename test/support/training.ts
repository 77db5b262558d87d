import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EpochCommit, StepCommit, StepMetrics } from '../../src/contract/training.ts';
import { encodePng } from '../../src/pipeline/decode/encode-png.ts';
import { runCli } from './cli.ts';

const CLASSES = ['bars', 'checks', 'dots'];
const IMAGES_PER_CLASS = 150;
const SIDE = 24;
const CHANNELS = 3;

/** A temporary folder with a prepared dataset of three classes, and an index of runs of its own. */
export interface TrainingWorkspace {
  readonly folder: string;
  /** The images the dataset was made of, a folder per class. */
  readonly images: string;
  readonly dataset: string;
  /** Environment for commands; without REDIS_URL. */
  readonly env: Record<string, string>;
  remove(): void;
}

export async function createTrainingWorkspace(): Promise<TrainingWorkspace> {
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-test-training-'));
  const images = join(folder, 'images');
  for (const [label, name] of CLASSES.entries()) {
    mkdirSync(join(images, name), { recursive: true });
    for (let index = 0; index < IMAGES_PER_CLASS; index += 1) {
      const png = await encodePng(pattern(label, index), { width: SIDE, height: SIDE, channels: CHANNELS });
      writeFileSync(join(images, name, `${String(index).padStart(3, '0')}.png`), png);
    }
  }
  const dataset = join(folder, 'dataset');
  const env = { IMAGEMILL_HOME: join(folder, 'home') };
  const { code, stderr } = await runCli(
    ['prepare', images, '--out', dataset, '--short-side', '32', '--format', 'png', '--json'],
    env,
  );
  if (code !== 0) throw new Error(`the dataset could not be prepared: ${stderr}`);
  return { folder, images, dataset, env, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Stripes, a chessboard or dots; colour, phase and noise differ from image to image. */
function pattern(label: number, index: number): Uint8Array {
  const pixels = new Uint8Array(SIDE * SIDE * CHANNELS);
  const period = 4 + (index % 5);
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      const [a, b] = [Math.floor((x + index) / period) % 2, Math.floor((y + index) / period) % 2];
      const isLit = [a === 1, a !== b, a === 1 && b === 1][label] === true;
      for (let channel = 0; channel < CHANNELS; channel += 1) {
        const noise = (x * 31 + y * 17 + index * 97 + channel * 13) % 60;
        pixels[(y * SIDE + x) * CHANNELS + channel] = (isLit ? 150 + ((index * 7) % 45) : 20) + noise;
      }
    }
  }
  return pixels;
}

/** A small network in small batches: an epoch of 25 steps takes about two seconds. */
export function trainArgs(dataset: string, out: string, ...more: string[]): string[] {
  return ['train', dataset, '--out', out, '--recipe', 'alexnet-small', '--epochs', '2'].concat(
    ['--batch-size', '16', '--set', 'learningRate=0.005', '--checkpoint-steps', '5'],
    ['--device', 'cpu', '--json'],
    more,
  );
}

export const STEPS_PER_EPOCH = 25;

/** Documents of a folder of the ledger, in order of their names. */
function documents<D>(out: string, folder: 'epochs' | 'steps'): D[] {
  const path = join(out, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .toSorted()
    .map((name) => JSON.parse(readFileSync(join(path, name), 'utf8')) as D);
}

export const epochCommits = (out: string): EpochCommit[] => documents(out, 'epochs');

export const stepCommits = (out: string, epoch?: number): StepCommit[] =>
  documents<StepCommit>(out, 'steps').filter((commit) => epoch === undefined || commit.epoch === epoch);

/** What must be the same of runs that are the same: digests of every checkpoint, the models' own bytes, the figures. */
export function fingerprint(out: string): Record<string, unknown> {
  return {
    epochs: epochCommits(out).map(({ epoch, steps, checkpoint, learningRate, train, validation }) => ({
      epoch,
      steps,
      checkpoint: checkpoint.digest,
      learningRate,
      train,
      validation,
    })),
    best: digestOfFile(join(out, 'best.safetensors')),
    last: digestOfFile(join(out, 'last.safetensors')),
  };
}

export function digestOfFile(path: string): string {
  return `sha256:${createHash('sha256').update(readFileSync(path)).digest('hex')}`;
}

export interface MetricsSegment {
  readonly epoch: number;
  readonly token: string;
  readonly rows: StepMetrics[];
}

/** The segments of metrics that commits name, in order of steps. */
export function metricsSegments(out: string): MetricsSegment[] {
  return epochCommits(out).flatMap((commit) =>
    [...stepCommits(out, commit.epoch), commit].map(({ epoch, token, metrics }) => {
      const text = readFileSync(join(out, metrics.key), 'utf8');
      const rows = text.split('\n').filter((line) => line !== '');
      return { epoch, token, rows: rows.map((line) => JSON.parse(line) as StepMetrics) };
    }),
  );
}

/** Looks again and again until there is something to see. */
export async function until<T>(
  look: () => T | Promise<T>,
  timeoutMs = 60_000,
): Promise<Exclude<NonNullable<T>, false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) return seen as Exclude<NonNullable<T>, false>;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${look.toString()}`);
    await sleep(20);
  }
}
