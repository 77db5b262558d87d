import type { Command } from 'commander';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import { filterImages, layOutImages, type ImageSet } from '../pipeline/charts/image-grid.ts';
import { encodePng } from '../pipeline/decode/encode-png.ts';
import type { LoadedModel } from '../pipeline/engine/load-model.ts';
import type { WeightTensor } from '../pipeline/model/weights/state-dict.ts';
import type { Context } from './context.ts';
import { openModel } from './model-options.ts';
import { example, integerOption } from './options.ts';

const UPSCALE_MAX = 64;
/** Kernels of 11×11 become squares of 66 pixels. */
const UPSCALE_DEFAULT = 6;
const GAP_PIXELS = 2;

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
        UPSCALE_DEFAULT,
      ),
    )
    .addHelpText('after', example('imagemill model filters alexnet.safetensors --out filters.png'))
    .action((file: string, options: FilterOptions) => run((context) => drawFilters(context, file, options)));
}

async function drawFilters(context: Context, file: string, options: FilterOptions): Promise<number> {
  const target = context.resolver.resolve(options.out);
  const filters = filtersOf(await openModel(context, file, {}));
  const { pixels, width, height } = layOutImages(filters, { gap: GAP_PIXELS, upscale: options.upscale });
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
  // The name that every AlexNet of torchvision's naming gives its first kernels.
  const kernels = source.weights.get('features.0.weight');
  if (kernels === undefined) {
    throw new ImagemillError('INTERNAL', `${card.uri}: expected a tensor features.0.weight, got none`);
  }
  const data = card.preprocessing.channelOrder === 'bgr' ? inReverse(kernels) : kernels.data;
  return filterImages(data, kernels.shape);
}

/** The channels of every kernel in reverse, so that a model of BGR pixels shows its true colours. */
function inReverse({ shape, data }: WeightTensor): Float32Array {
  const [filters = 0, channels = 0] = shape;
  const area = data.length / (filters * channels);
  return data.map((_, index) => {
    const [plane, place] = [Math.floor(index / area), index % area];
    const [filter, channel] = [Math.floor(plane / channels), plane % channels];
    return data[(filter * channels + channels - 1 - channel) * area + place] ?? 0;
  });
}
