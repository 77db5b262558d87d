import type { Command } from 'commander';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import {
  FILTER_GAP_PIXELS,
  FILTER_UPSCALE,
  FIRST_KERNELS,
  firstLayerImages,
} from '../pipeline/charts/first-layer.ts';
import { layOutImages, type ImageSet } from '../pipeline/charts/image-grid.ts';
import { encodePng } from '../pipeline/decode/encode-png.ts';
import type { LoadedModel } from '../pipeline/engine/load-model.ts';
import type { Context } from './context.ts';
import { openModel } from './model-options.ts';
import { example, integerOption } from './options.ts';

const UPSCALE_MAX = 64;

interface FilterOptions {
  readonly out: string;
  readonly upscale: number;
}

/** `imagemill model filters`. */
export function addModelFilters(
  model: Command,
  run: (handler: (context: Context) => Promise<number>) => Promise<void>,
): void {
  model
    .command('filters')
    .description("draw the first layer's kernels as a grid, each scaled to its largest weight")
    .argument('<file>', 'safetensors or PyTorch (.pth, .pt); a path or s3:// URI')
    .requiredOption('--out <png>', 'the picture: a path or s3:// URI')
    .addOption(
      integerOption('--upscale <n>', 'pixels per weight, to either side', 1, UPSCALE_MAX).default(
        FILTER_UPSCALE,
      ),
    )
    .addHelpText('after', example('imagemill model filters alexnet.safetensors --out filters.png'))
    .action((file: string, options: FilterOptions) => run((context) => drawFilters(context, file, options)));
}

async function drawFilters(context: Context, file: string, options: FilterOptions): Promise<number> {
  const target = context.resolver.resolve(options.out);
  const filters = filtersOf(await openModel(context, file, {}));
  const { pixels, width, height } = layOutImages(filters, {
    gap: FILTER_GAP_PIXELS,
    upscale: options.upscale,
  });
  await target.store.put(target.key, await encodePng(pixels, { width, height, channels: 3 }));
  const { images, width: columns, height: rows } = filters;
  context.stdout.write(
    `${options.out}: ${images.length} kernels of ${rows}×${columns}, ${width}×${height} pixels\n`,
  );
  return EXIT.done;
}

/** @throws ImagemillError USAGE for a graph */
function filtersOf({ card, source }: LoadedModel): ImageSet {
  if (source.kind === 'onnx') {
    throw new ImagemillError(
      'USAGE',
      `${card.uri}: expected AlexNet weights (safetensors or PyTorch) to draw filters of, got an ONNX graph`,
    );
  }
  const kernels = source.weights.get(FIRST_KERNELS);
  if (kernels === undefined) {
    throw new ImagemillError('INTERNAL', `${card.uri}: expected a tensor ${FIRST_KERNELS}, got none`);
  }
  return firstLayerImages(kernels, card.preprocessing);
}
