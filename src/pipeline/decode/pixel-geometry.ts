import type { Rectangle, Size } from './orientation.ts';

/** How the pixels of a prepared image become an input of the network, in the order of the fields. */
export interface PixelGeometry {
  /** Of the prepared image. */
  readonly stored: Size;
  /** Part of the stored image, in its pixels. */
  readonly crop: Rectangle;
  /** What the crop is resized to. */
  readonly resized: Size;
  /** Part of the resized crop that the network sees: of the input's size. */
  readonly window: Rectangle;
  /** Clockwise, about the centre of the window. */
  readonly rotationDegrees: number;
  /** Left to right, after the rotation. */
  readonly mirrored: boolean;
}

export function isWholeImage(crop: Rectangle, stored: Size): boolean {
  return crop.width === stored.width && crop.height === stored.height;
}

/** Where a rectangle lies once the image that is `width` wide is mirrored. */
export function mirrorRectangle(rectangle: Rectangle, width: number): Rectangle {
  return { ...rectangle, left: width - rectangle.left - rectangle.width };
}
