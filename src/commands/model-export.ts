import { Option, type Command } from 'commander';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import {
  EXPORT_FORMATS,
  exportModelAs,
  type ExportedModel,
  type ExportFormat,
} from '../pipeline/engine/export-model.ts';
import type { Context } from './context.ts';
import { describe, describeModelOptions, MODEL_FILE, openModel, type ModelOptions } from './model-options.ts';
import { example } from './options.ts';

interface ExportOptions extends ModelOptions {
  readonly out: string;
  readonly format?: ExportFormat;
}

/** What the end of a location says about its format. */
const ENDINGS: readonly (readonly [RegExp, ExportFormat])[] = [
  [/\.safetensors$/i, 'safetensors'],
  [/\.onnx$/i, 'onnx'],
  [/\/$/, 'tfjs'],
];

/** `imagemill model export`. */
export function addModelExport(
  model: Command,
  run: (handler: (context: Context) => Promise<number>) => Promise<void>,
): void {
  describeModelOptions(
    model
      .command('export')
      .description('write a model for another tool: PyTorch, ONNX Runtime, TensorFlow.js')
      .argument('<file>', MODEL_FILE)
      .requiredOption('--out <location>', 'a .safetensors or .onnx file; for tfjs a folder or s3:// prefix')
      .addOption(
        new Option('--format <format>', 'in place of recognising it by --out').choices([...EXPORT_FORMATS]),
      ),
  )
    .addHelpText(
      'after',
      example(
        'imagemill model export alexnet.safetensors --out alexnet.onnx',
        'imagemill model export alexnet.safetensors --out ./web/alexnet --format tfjs',
      ),
    )
    .action((file: string, options: ExportOptions) => run((context) => exportTo(context, file, options)));
}

async function exportTo(context: Context, file: string, options: ExportOptions): Promise<number> {
  const format = formatOf(options.out, options.format);
  const model = await openModel(context, file, options);
  await write(context, exportModelAs(model, format), options.out);
  context.stdout.write(`${options.out}: ${describe(model)}, as ${format}\n`);
  return EXIT.done;
}

/** @throws ImagemillError USAGE where it cannot be told, or where both say different things */
function formatOf(out: string, asked: ExportFormat | undefined): ExportFormat {
  const told = ENDINGS.find(([ending]) => ending.test(out))?.[1];
  const format = asked ?? told;
  if (format === undefined) {
    throw new ImagemillError(
      'USAGE',
      `expected --out to end in .safetensors, .onnx or / (a folder, for tfjs), or --format, got --out ${out}`,
    );
  }
  if ((told ?? format) !== format || (format === 'tfjs' && /\.json$/i.test(out))) {
    const wanted = format === 'tfjs' ? 'a folder' : `a file .${format}`;
    throw new ImagemillError('USAGE', `--format ${format}: expected ${wanted} as --out, got ${out}`);
  }
  return format;
}

async function write({ resolver }: Context, exported: ExportedModel, out: string): Promise<void> {
  if (exported.kind === 'file') {
    const { store, key } = resolver.resolve(out);
    await store.put(key, exported.bytes);
    return;
  }
  const folder = resolver.open(out);
  for (const [name, bytes] of exported.files) await folder.put(name, bytes);
}
