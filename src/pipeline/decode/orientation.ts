/** EXIF orientation, 1 to 8 (EXIF 2.3, tag 0x0112): how stored pixels are turned to be shown. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Rectangle extends Size {
  readonly left: number;
  readonly top: number;
}

/** How to get from stored to shown pixels: mirror left to right first, then flip, then turn clockwise. */
interface Turn {
  readonly mirror: boolean;
  readonly flip: boolean;
  readonly clockwise: 0 | 90 | 180 | 270;
}

export const TURNS: Record<Orientation, Turn> = {
  1: { mirror: false, flip: false, clockwise: 0 },
  2: { mirror: true, flip: false, clockwise: 0 },
  3: { mirror: false, flip: false, clockwise: 180 },
  4: { mirror: false, flip: true, clockwise: 0 },
  5: { mirror: true, flip: false, clockwise: 270 },
  6: { mirror: false, flip: false, clockwise: 90 },
  7: { mirror: true, flip: false, clockwise: 90 },
  8: { mirror: false, flip: false, clockwise: 270 },
};

const REVERSES_X = new Set<Orientation>([2, 3, 6, 7]);
const REVERSES_Y = new Set<Orientation>([3, 4, 7, 8]);

/** Any value of the tag as an orientation; what the standard does not define means upright. */
export function asOrientation(value: number | undefined): Orientation {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= 8
    ? (value as Orientation)
    : 1;
}

/** Whether showing the image swaps its width and height. */
function swapsSides(orientation: Orientation): boolean {
  return orientation >= 5;
}

/** Size as shown of an image stored with `size`, and the other way round. */
export function turnSize(size: Size, orientation: Orientation): Size {
  return swapsSides(orientation) ? { width: size.height, height: size.width } : size;
}

/**
 * Where a rectangle of the shown image lies in the stored one.
 * @param shown size of the shown image that `rectangle` refers to
 */
export function toStoredRectangle(rectangle: Rectangle, shown: Size, orientation: Orientation): Rectangle {
  const { width, height } = rectangle;
  const left = REVERSES_X.has(orientation) ? shown.width - rectangle.left - width : rectangle.left;
  const top = REVERSES_Y.has(orientation) ? shown.height - rectangle.top - height : rectangle.top;
  return swapsSides(orientation)
    ? { left: top, top: left, width: height, height: width }
    : { left, top, width, height };
}
