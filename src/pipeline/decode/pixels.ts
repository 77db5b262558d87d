import type { CropOrigin, Geometry } from './geometry.ts';
import type { Rectangle, Size } from './orientation.ts';

/** Colour channels of the output. */
export const CHANNELS = 3;

/**
 * Copies one crop out of a rendered part of the resized image, row by row; what lies outside becomes zero.
 * @param rendered (part.height, part.width, 3) uint8
 * @param part where `rendered` lies in the resized image
 * @param target (crop.height, crop.width, 3) uint8
 */
export function copyCrop(
  rendered: Uint8Array,
  part: Rectangle,
  geometry: Geometry,
  origin: CropOrigin,
  target: Uint8Array,
): void {
  const { crop } = geometry;
  if (part.width === crop.width && part.height === crop.height) {
    target.set(rendered);
    return;
  }
  const left = Math.max(part.left, origin.left);
  const right = Math.min(part.left + part.width, origin.left + crop.width);
  const top = Math.max(part.top, origin.top);
  const bottom = Math.min(part.top + part.height, origin.top + crop.height);
  if (right - left < crop.width || bottom - top < crop.height) target.fill(0);
  for (let y = top; y < bottom; y++) {
    const from = ((y - part.top) * part.width + left - part.left) * CHANNELS;
    const to = ((y - origin.top) * crop.width + left - origin.left) * CHANNELS;
    target.set(rendered.subarray(from, from + (right - left) * CHANNELS), to);
  }
}

/**
 * Halves an image along the axes where it was enlarged to twice the wanted size.
 *
 * libvips samples an enlarged image at x / scale − ½ where pixel centres lie at (x + ½) / scale − ½, half an output
 * pixel further. At twice the size the odd pixels lie exactly there. A loop over pixels, for images smaller than the
 * model's input only.
 * @param zoomed (size.height × zoom.y, size.width × zoom.x, channels) uint8
 * @returns (size.height, size.width, channels) uint8
 */
export function takeOddPixels(
  zoomed: Uint8Array,
  size: Size,
  zoom: { readonly x: number; readonly y: number },
  channels: number,
): Uint8Array {
  const { width, height } = size;
  const taken = new Uint8Array(width * height * channels);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = (y * zoom.y + zoom.y - 1) * width * zoom.x;
    for (let x = 0; x < width; x++) {
      const from = (row + x * zoom.x + zoom.x - 1) * channels;
      for (let channel = 0; channel < channels; channel++) taken[to++] = zoomed[from + channel] ?? 0;
    }
  }
  return taken;
}

/**
 * CMYK to RGB as Pillow does it: (255 − ink) × (255 − black) / 255, without a colour profile.
 * A loop over pixels, since libvips converts through a press profile only; it runs on the crop of the rare CMYK image.
 * @param cmyk (pixels, 4) uint8; 255 is full ink
 * @returns (pixels, 3) uint8
 */
export function convertCmykToRgb(cmyk: Uint8Array): Uint8Array {
  const pixels = Math.floor(cmyk.length / 4);
  const rgb = new Uint8Array(pixels * CHANNELS);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const from = pixel * 4;
    const light = 255 - (cmyk[from + 3] ?? 0);
    for (let channel = 0; channel < CHANNELS; channel++) {
      const paper = 255 - (cmyk[from + channel] ?? 0);
      rgb[pixel * CHANNELS + channel] = Math.round((paper * light) / 255);
    }
  }
  return rgb;
}
