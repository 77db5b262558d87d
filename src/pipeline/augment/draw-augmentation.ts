import { TORCHVISION_PREPROCESSING } from '../../contract/model-card.ts';
import type { Augmentation } from '../../contract/recipe.ts';
import { planGeometry } from '../decode/geometry.ts';
import type { Rectangle, Size } from '../decode/orientation.ts';
import type { PixelGeometry } from '../decode/pixel-geometry.ts';
import { drawColour, IDENTITY_COLOUR } from './colour-transform.ts';
import type { ColourTransform, PrincipalComponents } from './colour-transform.ts';
import { RandomStream } from './random-stream.ts';
import type { Draw } from './random-stream.ts';

export interface ItemAugmentation extends PixelGeometry {
  readonly colour: ColourTransform;
}

/** Tries of a random part before the centre is taken, as torchvision's RandomResizedCrop. */
const CROP_TRIES = 10;

/**
 * Draws what happens to one item in one epoch: a pure function of its arguments. The crop comes last in the stream,
 * since it takes a varying number of draws.
 * @param input size of the network's input
 * @param stored size of the prepared image
 * @throws RangeError seed out of range
 */
export function drawAugmentation(
  augmentation: Augmentation,
  input: Size,
  stored: Size,
  draw: Draw,
  components: PrincipalComponents,
): ItemAugmentation {
  const random = new RandomStream('augmentation', draw);
  const { horizontalFlip, rotationDegrees } = augmentation;
  const mirrored = random.uniform() < horizontalFlip;
  const rotation = random.between(-rotationDegrees, rotationDegrees);
  const colour = drawColour(augmentation, components, random);
  const crop = drawCrop(augmentation.crop, input, stored, random);
  return { stored, ...crop, rotationDegrees: rotationDegrees === 0 ? 0 : rotation, mirrored, colour };
}

/**
 * The centre crop, for validation: where `resizeTo` is not below the input's side, the pixels are those that the
 * decoder gives a classifier.
 * @param resizeTo short side of the whole image before cropping; the input's longer side at least
 */
export function centreAugmentation(resizeTo: number, input: Size, stored: Size): ItemAugmentation {
  const crop = centreCrop(resizeTo, input, stored);
  return { stored, ...crop, rotationDegrees: 0, mirrored: false, colour: IDENTITY_COLOUR };
}

type Crop = Pick<PixelGeometry, 'crop' | 'resized' | 'window'>;

function drawCrop(crop: Augmentation['crop'], input: Size, stored: Size, random: RandomStream): Crop {
  if (crop.kind === 'random-resized-crop') {
    return {
      crop: drawPart(crop, stored, random),
      resized: { width: input.width, height: input.height },
      window: { left: 0, top: 0, width: input.width, height: input.height },
    };
  }
  const centre = centreCrop(crop.resizeTo, input, stored);
  if (crop.kind === 'center-crop') return centre;
  const { resized } = centre;
  const left = random.integer(resized.width - input.width + 1);
  const top = random.integer(resized.height - input.height + 1);
  return { ...centre, window: { ...centre.window, left, top } };
}

/** An image whose short side is already `resizeTo` keeps its pixels as they are. */
function centreCrop(resizeTo: number, input: Size, stored: Size): Crop {
  const size = Math.max(resizeTo, input.width, input.height);
  const { resized, crop, origins } = planGeometry(
    stored,
    {
      ...TORCHVISION_PREPROCESSING,
      resize: { kind: 'short-side', size },
      crop: { width: input.width, height: input.height },
    },
    1,
  );
  const { left, top } = origins[0] ?? { left: 0, top: 0 };
  return { crop: { left: 0, top: 0, ...stored }, resized, window: { left, top, ...crop } };
}

/** torchvision/transforms/transforms.py, RandomResizedCrop.get_params. */
function drawPart(
  { area, aspectRatio }: Extract<Augmentation['crop'], { kind: 'random-resized-crop' }>,
  stored: Size,
  random: RandomStream,
): Rectangle {
  for (let attempt = 0; attempt < CROP_TRIES; attempt++) {
    const pixels = stored.width * stored.height * random.between(...area);
    const ratio = random.logUniform(...aspectRatio);
    const width = Math.round(Math.sqrt(pixels * ratio));
    const height = Math.round(Math.sqrt(pixels / ratio));
    if (width > 0 && width <= stored.width && height > 0 && height <= stored.height) {
      const top = random.integer(stored.height - height + 1);
      const left = random.integer(stored.width - width + 1);
      return { left, top, width, height };
    }
  }
  return centrePart(aspectRatio, stored);
}

/** The largest part around the centre whose aspect ratio is allowed. */
function centrePart([low, high]: readonly [number, number], stored: Size): Rectangle {
  const ratio = stored.width / stored.height;
  const width = ratio > high ? Math.max(1, Math.round(stored.height * high)) : stored.width;
  const height = ratio < low ? Math.max(1, Math.round(stored.width / low)) : stored.height;
  return {
    left: Math.floor((stored.width - width) / 2),
    top: Math.floor((stored.height - height) / 2),
    width,
    height,
  };
}
