/** The options of `imagemill model …` that say what a file does not, and opening the file with them. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { ImagemillError } from '../contract/errors.ts';
import type { Preprocessing } from '../contract/model-card.ts';
import { loadModel, type LoadedModel } from '../pipeline/engine/load-model.ts';
import { ARCHITECTURE_NAMES } from '../pipeline/model/architectures.ts';
import { parseLabels } from '../producer/parse-labels.ts';
import type { Context } from './context.ts';
import { integerOption } from './options.ts';
import { number } from './print.ts';

/** What a model argument may be. */
export const MODEL_FILE = 'safetensors, PyTorch (.pth, .pt) or ONNX; a path or s3:// URI';

const SIDE_MAX = 4_096;

export interface ModelOptions {
  readonly architecture?: string;
  readonly labels?: string;
  readonly resize?: number;
  readonly crop?: number;
  readonly interpolation?: Preprocessing['interpolation'];
  readonly channelOrder?: Preprocessing['channelOrder'];
  readonly scale?: number;
  readonly mean?: [number, number, number];
  readonly std?: [number, number, number];
}

export function describeModelOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--architecture <name>', 'in place of recognising it by its weights').choices([
        ...ARCHITECTURE_NAMES,
      ]),
    )
    .option('--labels <file>', 'one label per line, or a JSON array')
    .addOption(integerOption('--resize <pixels>', 'short side before the crop', 1, SIDE_MAX))
    .addOption(integerOption('--crop <pixels>', 'side of the centre crop', 1, SIDE_MAX))
    .addOption(
      new Option('--interpolation <kernel>', 'of the resize').choices([
        'bilinear',
        'bicubic',
        'lanczos',
        'nearest',
      ]),
    )
    .addOption(new Option('--channel-order <order>', 'of the input').choices(['rgb', 'bgr']))
    .addOption(new Option('--scale <number>', 'factor on 0…255, before mean and std').argParser(parseNumber))
    .addOption(new Option('--mean <r,g,b>', 'subtracted after scaling').argParser(parseTriple))
    .addOption(new Option('--std <r,g,b>', 'divided by after subtracting').argParser(parseTriple));
}

/** @throws ImagemillError MODEL_NOT_FOUND; as {@link loadModel} */
export async function openModel(context: Context, file: string, options: ModelOptions): Promise<LoadedModel> {
  const { store, key } = context.resolver.resolve(file);
  if ((await store.head(key)) === null) {
    throw new ImagemillError('MODEL_NOT_FOUND', `expected a model file at ${store.uriOf(key)}, found none`);
  }
  const bytes = await store.get(key);
  const labels = options.labels === undefined ? undefined : await readLabels(context, options.labels);
  return loadModel(bytes, {
    uri: store.uriOf(key),
    ...(options.architecture === undefined ? {} : { architecture: options.architecture }),
    ...(labels === undefined ? {} : { labels }),
    preprocessing: preprocessingOf(options),
  });
}

async function readLabels(context: Context, uri: string): Promise<string[]> {
  const { store, key } = context.resolver.resolve(uri);
  return parseLabels(await store.get(key), store.uriOf(key));
}

function preprocessingOf(options: ModelOptions): Partial<Preprocessing> {
  const { resize, crop, interpolation, channelOrder, scale, mean, std } = options;
  return {
    ...(resize === undefined ? {} : { resize: { kind: 'short-side', size: resize } }),
    ...(crop === undefined ? {} : { crop: { height: crop, width: crop } }),
    ...(interpolation === undefined ? {} : { interpolation }),
    ...(channelOrder === undefined ? {} : { channelOrder }),
    ...(scale === undefined ? {} : { scale }),
    ...(mean === undefined ? {} : { mean }),
    ...(std === undefined ? {} : { std }),
  };
}

/** One line about a model. */
export function describe({ card }: LoadedModel): string {
  return `${card.architecture}, ${number(card.classes)} classes, ${number(card.parameters)} parameters, ${card.digest}`;
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new InvalidArgumentError(`expected a number, got ${text}`);
  }
  return value;
}

function parseTriple(text: string): [number, number, number] {
  const [r, g, b, ...more] = text.split(',').map(parseNumber);
  if (r === undefined || g === undefined || b === undefined || more.length > 0) {
    throw new InvalidArgumentError(`expected three numbers such as 0.485,0.456,0.406, got ${text}`);
  }
  return [r, g, b];
}
