import { ImagemillError } from '../../contract/errors.ts';

const CHANNELS = 3;
const DEFAULT_GAP = 1;
const WHITE = 255;
const MAX_PIXELS = 100_000_000;
/** A grid that divides evenly is taken up to this ratio of columns to rows. */
const MAX_EVEN_RATIO = 2;

/** RGB pixels. */
export interface Picture {
  /** (height, width, 3) uint8 */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Small images of one size. */
export interface ImageSet {
  /** Each (height, width, 3) uint8. */
  readonly images: readonly Uint8Array[];
  readonly width: number;
  readonly height: number;
}

export interface GridOptions {
  /** {@link gridColumns} of the number of images unless said. */
  readonly columns?: number;
  /** Pixels of the picture between images and around them. */
  readonly gap?: number;
  /** Each pixel becomes a square of so many; an integer. */
  readonly upscale?: number;
  /** Grey value of the gaps, 0 to 255. */
  readonly background?: number;
}

/**
 * Columns of a grid that is as square as can be: 96 images are 8 rows of 12, as in Krizhevsky et al. 2012, figure 3,
 * 64 are 8 × 8, 16 are 4 × 4. Rows are full where that makes a grid of at most twice as many columns as rows.
 */
export function gridColumns(count: number): number {
  for (let rows = Math.floor(Math.sqrt(count)); rows > 0; rows--) {
    const columns = count / rows;
    if (columns > rows * MAX_EVEN_RATIO) break;
    if (Number.isInteger(columns)) return columns;
  }
  return Math.max(1, Math.ceil(Math.sqrt(count)));
}

/**
 * Lays images out on a grid, row by row.
 * @throws RangeError no images, an image of another size, or a picture of more than 100 million pixels
 */
export function layOutImages({ images, width, height }: ImageSet, options: GridOptions = {}): Picture {
  const {
    columns = gridColumns(images.length),
    gap = DEFAULT_GAP,
    upscale = 1,
    background = WHITE,
  } = options;
  const rows = Math.ceil(images.length / columns);
  const pitch = { x: width * upscale + gap, y: height * upscale + gap };
  const picture = { width: gap + columns * pitch.x, height: gap + rows * pitch.y };
  if (images.length === 0 || !(picture.width * picture.height <= MAX_PIXELS)) {
    throw new RangeError(
      `expected one or more images and a picture of at most ${MAX_PIXELS} pixels, got ${images.length} images and ${picture.width} × ${picture.height} pixels`,
    );
  }
  const pixels = new Uint8Array(picture.width * picture.height * CHANNELS).fill(background);
  images.forEach((image, index) => {
    if (image.length !== width * height * CHANNELS) {
      throw new RangeError(
        `expected ${height} × ${width} × ${CHANNELS} bytes, got ${image.length} in image ${index}`,
      );
    }
    const left = gap + (index % columns) * pitch.x;
    const top = gap + Math.floor(index / columns) * pitch.y;
    for (let y = 0; y < height; y++) {
      const row = image.subarray(y * width * CHANNELS, (y + 1) * width * CHANNELS);
      const wide = upscale === 1 ? row : widenRow(row, upscale);
      for (let repeat = 0; repeat < upscale; repeat++) {
        pixels.set(wide, ((top + y * upscale + repeat) * picture.width + left) * CHANNELS);
      }
    }
  });
  return { pixels, ...picture };
}

/**
 * The filters of a first convolution as images: 0 is grey (128), the largest weight of each filter by absolute value
 * is 0 or 255, so that all filters show, however small their weights.
 * @param weight float32, PyTorch's layout
 * @param shape (filters, 3, height, width)
 * @throws ImagemillError MODEL_SHAPE_MISMATCH: not three input channels; MODEL_CORRUPT: a weight is not finite
 */
export function filterImages(weight: Float32Array, shape: readonly number[]): ImageSet {
  const [filters = 0, channels = 0, height = 0, width = 0] = shape;
  const area = height * width;
  if (shape.length !== 4 || channels !== CHANNELS || weight.length !== filters * CHANNELS * area) {
    throw new ImagemillError(
      'MODEL_SHAPE_MISMATCH',
      `expected the weights of a convolution of RGB images, (filters, ${CHANNELS}, height, width), got ${weight.length} numbers of shape (${shape.join(', ')})`,
    );
  }
  const images = Array.from({ length: filters }, (_, filter) => {
    const planes = weight.subarray(filter * CHANNELS * area, (filter + 1) * CHANNELS * area);
    const largest = planes.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    if (!Number.isFinite(largest)) {
      throw new ImagemillError(
        'MODEL_CORRUPT',
        `expected finite weights, got ${largest} in filter ${filter}`,
      );
    }
    const scale = largest === 0 ? 0 : WHITE / 2 / largest;
    return Uint8Array.from(planes, (_, index) => {
      const value = planes[(index % CHANNELS) * area + Math.floor(index / CHANNELS)] ?? 0;
      return Math.round(WHITE / 2 + value * scale);
    });
  });
  return { images, width, height };
}

/** Repeats each pixel of a row. */
function widenRow(row: Uint8Array, upscale: number): Uint8Array {
  const wide = new Uint8Array(row.length * upscale);
  for (let to = 0; to < wide.length; to++) {
    const pixel = Math.floor(to / (CHANNELS * upscale));
    wide[to] = row[pixel * CHANNELS + (to % CHANNELS)] ?? 0;
  }
  return wide;
}
