import type { Rectangle, Size } from './orientation.ts';
import type { PixelGeometry } from './pixel-geometry.ts';

type Crop = Pick<PixelGeometry, 'crop' | 'resized' | 'window'>;

/**
 * Enlarges a crop by what any rotation of its window shows: the window's circumscribed circle, as far as the image
 * reaches. The scale stays the same to within a pixel over the whole crop.
 */
export function withRoomToRotate({ stored, crop, resized, window }: PixelGeometry): Crop {
  const diagonal = Math.sqrt(window.width ** 2 + window.height ** 2);
  const scale = { x: resized.width / crop.width, y: resized.height / crop.height };
  const margin = {
    x: Math.ceil((diagonal - window.width) / 2 / scale.x),
    y: Math.ceil((diagonal - window.height) / 2 / scale.y),
  };
  const left = Math.max(0, crop.left - margin.x);
  const top = Math.max(0, crop.top - margin.y);
  const width = Math.min(stored.width, crop.left + crop.width + margin.x) - left;
  const height = Math.min(stored.height, crop.top + crop.height + margin.y) - top;
  const roomy = { width: roundUp(width * scale.x), height: roundUp(height * scale.y) };
  return {
    crop: { left, top, width, height },
    resized: roomy,
    window: {
      ...window,
      left: clamp(window.left + Math.round((crop.left - left) * scale.x), roomy.width - window.width),
      top: clamp(window.top + Math.round((crop.top - top) * scale.y), roomy.height - window.height),
    },
  };
}

/** What to cut out of the rotated canvas, and how many pixels to add on each side of it, to get the window. */
export interface RotatedWindow {
  readonly part: Rectangle;
  readonly beyond: {
    readonly left: number;
    readonly top: number;
    readonly right: number;
    readonly bottom: number;
  };
}

/**
 * Where a window lies after libvips rotated the whole canvas about its origin and cut the result to what the canvas
 * covers (vips_rotate; right angles by vips_rot, which keeps whole pixels): its centre turns along, its sides do not.
 * @param degrees clockwise
 */
export function rotatedWindow(window: Rectangle, canvas: Size, degrees: number): RotatedWindow {
  const radians = (degrees * Math.PI) / 180;
  const turn = { cos: Math.cos(radians), sin: Math.sin(radians) };
  const last = degrees % 90 === 0 ? 1 : 0;
  const corners = [0, canvas.width - last].flatMap((x) =>
    [0, canvas.height - last].map((y) => rotate({ x, y }, turn)),
  );
  const centre = rotate(
    { x: window.left + (window.width - 1) / 2, y: window.top + (window.height - 1) / 2 },
    turn,
  );
  const xs = corners.map(({ x }) => x);
  const ys = corners.map(({ y }) => y);
  const x = cutOut(window.width, centre.x, { first: Math.min(...xs), end: Math.max(...xs), last });
  const y = cutOut(window.height, centre.y, { first: Math.min(...ys), end: Math.max(...ys), last });
  return {
    part: { left: x.start, top: y.start, width: x.size, height: y.size },
    beyond: { left: x.before, top: y.before, right: x.after, bottom: y.after },
  };
}

/** One axis: `size` pixels around a centre, of which the rotated canvas has some. Rounds as vips_affine does. */
function cutOut(
  size: number,
  centre: number,
  { first, end, last }: { first: number; end: number; last: number },
): { start: number; size: number; before: number; after: number } {
  const covered = Math.round(end - first) + last;
  const start = Math.round(centre - Math.round(first) - (size - 1) / 2);
  const before = Math.max(0, -start);
  const after = Math.max(0, start + size - covered);
  return { start: start + before, size: size - before - after, before, after };
}

/** So that the window still fits; what only rounding put above a whole number stays it. */
function roundUp(value: number): number {
  return Math.ceil(value - 1e-6);
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Clockwise as seen, since y points down. */
function rotate({ x, y }: Point, { cos, sin }: { cos: number; sin: number }): Point {
  return { x: x * cos - y * sin, y: x * sin + y * cos };
}

function clamp(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}
