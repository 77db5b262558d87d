import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import type { Preprocessing } from '../contract/model-card.ts';
import { exportModel } from '../pipeline/engine/export-model.ts';
import { loadModel, type LoadedModel } from '../pipeline/engine/load-model.ts';
import { ARCHITECTURE_NAMES } from '../pipeline/model/architectures.ts';
import { parseLabels } from '../producer/parse-labels.ts';
import type { Context } from './context.ts';
import { example, integerOption } from './options.ts';
import { number } from './print.ts';

type Run = (handler: (context: Context) => Promise<number>) => Promise<void>;

const SIDE_MAX = 4_096;

interface ModelOptions {
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

/** `imagemill model import|info`. */
export function addModelCommands(program: Command, run: Run): void {
  const model = program.command('model').description('read, convert and describe models');
  describeModelOptions(
    model
      .command('import')
      .description('check a model and write it as one self-contained file: weights, labels, preprocessing')
      .argument('<file>', 'safetensors, PyTorch (.pth, .pt) or ONNX; a path or s3:// URI')
      .requiredOption('--out <file>', 'safetensors for AlexNet weights, ONNX for any other graph'),
  )
    .addHelpText('after', example('imagemill model import alexnet.pth --out alexnet.safetensors'))
    .action((file: string, options: ModelOptions & { out: string }) =>
      run((context) => importModel(context, file, options)),
    );
  describeModelOptions(
    model
      .command('info')
      .description('show architecture, classes, parameters, digest and preprocessing')
      .argument('<file>', 'safetensors, PyTorch (.pth, .pt) or ONNX; a path or s3:// URI')
      .option('--json', 'print one JSON document on stdout', false),
  )
    .addHelpText('after', example('imagemill model info alexnet.safetensors'))
    .action((file: string, options: ModelOptions & { json: boolean }) =>
      run((context) => modelInfo(context, file, options)),
    );
}

function describeModelOptions(command: Command): Command {
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

async function importModel(
  context: Context,
  file: string,
  options: ModelOptions & { out: string },
): Promise<number> {
  const model = await openModel(context, file, options);
  const target = context.resolver.resolve(options.out);
  await target.store.put(target.key, exportModel(model));
  context.stdout.write(`${options.out}: ${describe(model)}\n`);
  return EXIT.done;
}

async function modelInfo(
  context: Context,
  file: string,
  options: ModelOptions & { json: boolean },
): Promise<number> {
  const model = await openModel(context, file, options);
  const { card } = model;
  if (options.json) {
    context.stdout.write(`${JSON.stringify(card)}\n`);
    return EXIT.done;
  }
  const { preprocessing: p } = card;
  const resize = p.resize.kind === 'stretch' ? 'stretched' : `short side to ${p.resize.size}`;
  context.stdout.write(
    [
      `architecture   ${card.architecture} (${card.format})`,
      `classes        ${number(card.classes)}, labels from: ${card.labelsFrom}: ${card.labels.slice(0, 3).join(', ')}, …`,
      `parameters     ${number(card.parameters)}`,
      `digest         ${card.digest}`,
      `preprocessing  ${resize} (${p.interpolation}), centre crop ${p.crop.width}×${p.crop.height}, ${p.channelOrder}, (pixel × ${p.scale.toPrecision(4)} − [${p.mean.join(', ')}]) / [${p.std.join(', ')}]`,
      `output         ${card.scores}; embeddings: ${card.embeddingSize === null ? 'not visible' : `${card.embeddingSize} values`}`,
      '',
    ].join('\n'),
  );
  return EXIT.done;
}

async function openModel(context: Context, file: string, options: ModelOptions): Promise<LoadedModel> {
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

function describe({ card }: LoadedModel): string {
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
