import type { Preprocessing } from '../../contract/model-card.ts';
import type { WeightTensor } from '../model/weights/state-dict.ts';
import { filterImages, type ImageSet } from './image-grid.ts';

/** The name that every AlexNet of torchvision's naming gives its first kernels. */
export const FIRST_KERNELS = 'features.0.weight';

/** Kernels of 11×11 become squares of 66 pixels. */
export const FILTER_UPSCALE = 6;
export const FILTER_GAP_PIXELS = 2;

/**
 * A model's first kernels as images in their true colours.
 * @throws ImagemillError MODEL_SHAPE_MISMATCH, MODEL_CORRUPT
 */
export function firstLayerImages(
  kernels: WeightTensor,
  { channelOrder }: Pick<Preprocessing, 'channelOrder'>,
): ImageSet {
  const data = channelOrder === 'bgr' ? inReverse(kernels) : kernels.data;
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
