import type { Command } from 'commander';
import { EXIT } from '../contract/errors.ts';
import { exportModel } from '../pipeline/engine/export-model.ts';
import type { Context } from './context.ts';
import { addModelExport } from './model-export.ts';
import { addModelFilters } from './model-filters.ts';
import { describe, describeModelOptions, MODEL_FILE, openModel, type ModelOptions } from './model-options.ts';
import { example } from './options.ts';
import { number, textOf } from './print.ts';

type Run = (handler: (context: Context) => Promise<number>) => Promise<void>;

/** `imagemill model import|info|export|filters`. */
export function addModelCommands(program: Command, run: Run): void {
  const model = program.command('model').description('read, convert and describe models');
  describeModelOptions(
    model
      .command('import')
      .description('check a model and write it as one self-contained file: weights, labels, preprocessing')
      .argument('<file>', MODEL_FILE)
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
      .argument('<file>', MODEL_FILE)
      .option('--json', 'print one JSON document on stdout', false),
  )
    .addHelpText('after', example('imagemill model info alexnet.safetensors'))
    .action((file: string, options: ModelOptions & { json: boolean }) =>
      run((context) => modelInfo(context, file, options)),
    );
  addModelExport(model, run);
  addModelFilters(model, run);
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
    `${textOf([
      `architecture   ${card.architecture} (${card.format})`,
      `classes        ${number(card.classes)}, labels from: ${card.labelsFrom}: ${card.labels.slice(0, 3).join(', ')}, …`,
      `parameters     ${number(card.parameters)}`,
      `digest         ${card.digest}`,
      `preprocessing  ${resize} (${p.interpolation}), centre crop ${p.crop.width}×${p.crop.height}, ${p.channelOrder}, (pixel × ${p.scale.toPrecision(4)} − [${p.mean.join(', ')}]) / [${p.std.join(', ')}]`,
      `output         ${card.scores}; embeddings: ${card.embeddingSize === null ? 'not visible' : `${card.embeddingSize} values`}`,
    ])}\n`,
  );
  return EXIT.done;
}
