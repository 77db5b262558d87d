import type { Preprocessing } from '../../contract/model-card.ts';
import type { Rectangle, Size } from './orientation.ts';

/** Where a crop's top-left corner lies in the resized image; negative where the crop reaches beyond it. */
export interface CropOrigin {
  readonly left: number;
  readonly top: number;
}

/** Everything about one decode that follows from sizes alone. */
export interface Geometry {
  /** Of the whole image after resizing. */
  readonly resized: Size;
  /** Of every crop. */
  readonly crop: Size;
  /** One (centre) or five (top-left, top-right, bottom-left, bottom-right, centre), as torchvision's FiveCrop. */
  readonly origins: readonly CropOrigin[];
}

/**
 * Follows torchvision (transforms/functional.py: resize, center_crop, five_crop) to the pixel: the longer side is
 * truncated, the centre is rounded half to even, and what a crop lacks is padded with zeros.
 * @param shown size of the image as shown
 */
export function planGeometry(shown: Size, preprocessing: Preprocessing, crops: 1 | 5): Geometry {
  const { crop } = preprocessing;
  const resized = resizedSize(shown, preprocessing);
  const x = axisOrigins(resized.width, crop.width);
  const y = axisOrigins(resized.height, crop.height);
  const centre = { left: x.centre, top: y.centre };
  const origins =
    crops === 1
      ? [centre]
      : [
          { left: x.first, top: y.first },
          { left: x.last, top: y.first },
          { left: x.first, top: y.last },
          { left: x.last, top: y.last },
          centre,
        ];
  return { resized, crop, origins };
}

/** The part of the resized image that the crops cover. */
export function coveredRectangle(geometry: Geometry, origins: readonly CropOrigin[]): Rectangle {
  const { resized, crop } = geometry;
  const left = Math.max(0, Math.min(...origins.map((origin) => origin.left)));
  const top = Math.max(0, Math.min(...origins.map((origin) => origin.top)));
  const right = Math.min(resized.width, Math.max(...origins.map((origin) => origin.left)) + crop.width);
  const bottom = Math.min(resized.height, Math.max(...origins.map((origin) => origin.top)) + crop.height);
  return { left, top, width: right - left, height: bottom - top };
}

function resizedSize(shown: Size, { resize, crop }: Preprocessing): Size {
  if (resize.kind === 'stretch') return { width: crop.width, height: crop.height };
  return sizeWithShortSide(shown, resize.size);
}

/** The size of an image after its shorter side became `side` pixels. */
export function sizeWithShortSide({ width, height }: Size, side: number): Size {
  const short = Math.min(width, height);
  const long = Math.trunc((side * Math.max(width, height)) / short);
  return width <= height ? { width: side, height: long } : { width: long, height: side };
}

function axisOrigins(size: number, crop: number): { first: number; centre: number; last: number } {
  if (size <= crop) {
    const padded = -Math.floor((crop - size) / 2) || 0;
    return { first: padded, centre: padded, last: padded };
  }
  return { first: 0, centre: roundHalfToEven((size - crop) / 2), last: size - crop };
}

/** Python's round(). */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
